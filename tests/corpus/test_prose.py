import pytest

from potstill.corpus.prose import count_words, reads_like_a_sentence


@pytest.mark.parametrize(
    "text",
    [
        "The council voted on Tuesday to close the old bridge.",
        '"We had no choice," said the mayor, who has led the town since 2011.',
        "the council voted tuesday to close the old bridge .",
        "`` we had no choice , '' the mayor said .",
        "exports rose #.# percent in the third quarter .",
        "Könnte der Zug noch pünktlich sein?",
        "市議会は火曜日に古い橋を閉鎖することを決めた。",
        "यह एक पुराना पुल है जो अब बंद है।",
        "The line that was\nbroken to fit a width is one sentence.",
    ],
)
def test_sentences_of_many_kinds_read_like_one(text):
    assert reads_like_a_sentence(text)


@pytest.mark.parametrize(
    "text",
    [
        "Council votes to close old bridge",
        "- The bridge is closed.",
        "3. The bridge is closed.",
        "See https://example.org for the whole report.",
        "Write to press@example.org for the whole report.",
        "Name | Place | Year.",
        "Chapter One ........ 12.",
        "<b>The bridge is closed.</b>",
        "CLOSED UNTIL FURTHER NOTICE BY ORDER OF THE COUNCIL.",
        "2011 3.5 4.1 5.9 6.2 total.",
        '"We had no choice, said the mayor.',
        "He went (as he always does to the bridge.",
        "spam spam spam spam eggs spam spam spam.",
        "© 2024 The bridge company keeps all rights.",
        ", which was closed.",
        "",
        "...",
        "Its owner said that the company had lowered its price...",
        "On yesterday #39;s close the oil price was still high.",
        "The bridge is 4 @.@ 5 metres wide at the upper end.",
    ],
)
def test_what_is_no_sentence_does_not(text):
    assert not reads_like_a_sentence(text)


def test_words_are_counted_with_and_without_spaces():
    assert count_words("It's a well-known fact, isn't it?") == 6
    assert count_words("東京都の") == 2
    assert count_words("iPhone を 買う") == 3
