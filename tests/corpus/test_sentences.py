import json
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from potstill.corpus.sentences import first_sentence, split_sentences

BORDERS = Path(__file__).with_name("sentence_borders.jsonl")
PIECES = st.sampled_from(
    [
        "Mr.",
        "J.",
        "K.",
        "He",
        "said",
        "left",
        "left.",
        "U.S.",
        "a.m.",
        "3.5",
        "\n",
        "\n\n",
        " ",
        ".",
        "?",
        "!",
    ]
    + [
        '"',
        "''",
        "``",
        "'",
        ")",
        "(",
        "-",
        "...",
        "…",
        "etc.",
        "Inc.",
        "The",
        "the",
        "No.",
        "5",
        "1.",
        "\r\n",
    ]
    + ["。", "！", "」", "と", "って", "い", "iPhone", "-and", "Jan.", "Monday", "”", "“", "shouted"]
)
TEXTS = st.lists(PIECES, max_size=14).flatmap(
    lambda pieces: st.sampled_from([" ".join(pieces), "".join(pieces)])
)


@given(TEXTS | st.text(max_size=60))
def test_sentences_and_the_white_space_between_them_tile_the_text(text):
    spans = split_sentences(text)
    left = 0
    for start, end in spans:
        assert not text[left:start].strip()
        assert text[start:end] == text[start:end].strip() != ""
        left = end
    assert not text[left:].strip()


@example("Mr. 。 ''")
@example("Mr. 。 \n\n ''")
@given(TEXTS | st.text(max_size=60))
def test_a_first_sentence_once_returned_does_not_change_when_more_text_streams_in(text):
    seen = [first_sentence(text[:length]) for length in range(len(text) + 1)]
    returned = [sentence for sentence in seen if sentence is not None]
    assert len(set(returned)) <= 1
    assert all(sentence is not None for sentence in seen[len(seen) - len(returned) :])
    if returned:
        start, end = split_sentences(text)[0]
        assert returned[0] == text[start:end]


@given(TEXTS)
def test_a_complete_text_has_the_first_sentence_that_splitting_finds(text):
    spans = split_sentences(text)
    expected = text[spans[0].start : spans[0].end] if spans else None
    assert first_sentence(text, is_complete=True) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Mr. Smith left", None),
        ("Mr. Smith left.", None),
        ("Mr. Smith left. T", "Mr. Smith left."),
        (" It cost 3.", None),
        (" It cost 3.5 million. ", None),
        ("She met J. K. Rowling at 8 a.m. Monday. And", "She met J. K. Rowling at 8 a.m. Monday."),
        ('"Why?" Anna ', None),
        ('"Why?" Anna asked', None),
        ('"Why?" Anna asked him. No', '"Why?" Anna asked him.'),
        ('"Why?" Nobody knew ', '"Why?"'),
        ("the u.s. said so . the", "the u.s. said so ."),
        ("我来了。你", "我来了。"),
        ("A headline\n\n", "A headline"),
    ],
)
def test_a_stream_is_cut_as_soon_as_the_next_word_tells(text, sentence):
    assert first_sentence(text) == sentence


# Each line holds a text of our own with `¦` where a sentence ends; the end of the text is not marked.
# `first_seen` tells whether the rules were made with the text at hand or met it finished.
MARKED = [json.loads(line)["marked"] for line in BORDERS.read_text().splitlines()]


def _ends(text, pieces):
    lengths = accumulate(len(piece) for piece in pieces[:-1])
    return {len(text[:end].rstrip()) for end in lengths}


def test_at_least_98_percent_of_500_marked_borders_are_right():
    num_marked = num_right = 0
    wrong = []
    for marked in MARKED:
        pieces = marked.split("¦")
        text = "".join(pieces)
        expected = _ends(text, pieces)
        found = {span.end for span in split_sentences(text)[:-1]}
        num_marked += len(expected)
        num_right += len(expected & found)
        wrong += [f"missed: {text[max(0, end - 30) : end + 20]!r}" for end in expected - found]
        wrong += [f"invented: {text[max(0, end - 30) : end + 20]!r}" for end in found - expected]
    assert num_marked >= 500
    assert num_right / (num_right + len(wrong)) >= 0.98, "\n".join(wrong)


@pytest.mark.parametrize("marked", MARKED)
def test_a_stream_is_cut_where_the_whole_text_is(marked):
    text = marked.replace("¦", "")
    start, end = split_sentences(text)[0]
    cuts = {first_sentence(text[:length]) for length in range(len(text) + 1)}
    assert cuts <= {None, text[start:end]}


def test_a_long_text_is_split_in_time_that_grows_with_its_length():
    text = "The old bridge at St. Brannock was closed on Jan. 3. Nobody crossed it for 3.5 years. " * 4000
    spans = split_sentences(text)
    assert len(spans) == 8000
    for piece in ("word, ", "mr. ", "no border\nhere ", "a.b. "):
        assert len(split_sentences(piece * 20_000)) == 1
