import random
from pathlib import Path

import pytest

from potstill.corpus.documents import Document, read_documents
from potstill.corpus.sampling import sample_sentences
from potstill.errors import ConfigError

SUBJECTS = (
    "The mayor",
    "A farmer",
    "The old teacher",
    "One driver",
    "The new owner",
    "A doctor",
    "Her brother",
)
VERBS = ("sold", "painted", "closed", "repaired", "visited", "lost", "described", "left")
OBJECTS = (
    "the bridge",
    "a small boat",
    "the red house",
    "the school garden",
    "an empty shop",
    "the town hall",
)
ENDS = ("before the storm came.", "in the first week of May.", "without saying why.", "for the second time.")


def _documents(count, seed=0, sentences=12):
    rng = random.Random(seed)
    for record in range(count):
        text = " ".join(
            f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)} {rng.choice(ENDS)}"
            for _ in range(sentences)
        )
        yield Document(text, Path(f"f{seed}.jsonl"), record)


def _texts(sentences):
    return [sentence.text for sentence in sentences]


def test_a_sample_is_distinct_and_stands_where_it_says():
    documents = {document.record: document for document in _documents(30)}
    sample = sample_sentences(documents.values(), 50, seed=1)
    assert len(set(_texts(sample))) == len(sample) == 50
    for sentence in sample:
        text = documents[sentence.record].text
        assert text[sentence.start : sentence.end] == sentence.text
        assert text[: sentence.start].rstrip().endswith(" ".join(sentence.previous))
        assert len(sentence.previous) == 5 or text.startswith(" ".join(sentence.previous))


def test_the_sample_does_not_depend_on_the_order_of_the_documents():
    documents = list(_documents(30))
    expected = _texts(sample_sentences(documents, 40, seed=1))
    assert _texts(sample_sentences(reversed(documents), 40, seed=1)) == expected


def test_a_bigger_sample_begins_with_the_smaller_one_and_another_seed_gives_another():
    documents = list(_documents(30))
    assert _texts(sample_sentences(documents, 60, seed=1))[:25] == _texts(
        sample_sentences(documents, 25, seed=1)
    )
    assert _texts(sample_sentences(documents, 25, seed=2)) != _texts(sample_sentences(documents, 25, seed=1))


def test_adding_a_few_documents_changes_little():
    documents = list(_documents(40))
    before = set(_texts(sample_sentences(documents, 50, seed=1)))
    after = set(_texts(sample_sentences([*documents, *_documents(2, seed=9)], 50, seed=1)))
    assert len(before & after) >= 40


def test_every_sentence_is_as_likely_as_another():
    documents = list(_documents(20))
    everything = _texts(sample_sentences(documents, 10_000, seed=0))
    drawn = dict.fromkeys(everything, 0)
    for seed in range(100):
        for sentence in sample_sentences(documents, 20, seed=seed):
            drawn[sentence.text] += 1
    expected = 100 * 20 / len(everything)
    statistic = sum((count - expected) ** 2 / expected for count in drawn.values())
    # Chi-squared with len - 1 degrees of freedom: mean len, standard deviation sqrt(2 len).
    assert abs(statistic - len(everything)) < 5 * (2 * len(everything)) ** 0.5


def test_repeated_sentences_keep_their_first_place():
    text = "The mayor closed the old bridge before the storm came. "
    documents = [Document(text * 3, Path("a"), 0), Document(text.upper().capitalize() + text, Path("b"), 1)]
    [sentence] = sample_sentences(documents, 5, seed=1)
    assert (sentence.record, sentence.start) == (0, 0)


def test_lengths_and_looks_are_bounded():
    text = (
        "Too short here. "
        + "A "
        + "very " * 70
        + "long sentence. MENU | HOME | ABOUT US | SIGN IN | HELP ME NOW PLEASE."
    )
    assert sample_sentences([Document(text, Path("a"), 0)], 5, seed=1) == []


def test_a_sentence_over_two_lines_is_one_line_and_keeps_its_bytes(tmp_path):
    path = tmp_path / "a.txt"
    line = "Über die alte Brücke am unteren Ende der Stadt darf seit gestern\nniemand mehr gehen."
    path.write_text(f"Brücke zu\n\n{line}\n")
    [sentence] = sample_sentences(read_documents([path]), 5, seed=1)
    assert sentence.text == line.replace("\n", " ")
    first, last = sentence.byte_span
    assert path.read_bytes()[first:last].decode() == line
    assert sentence.previous == ("Brücke zu",)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"min_words": 9, "max_words": 8}, {"num_previous": -1}])
def test_bounds_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError):
        sample_sentences([], **{"count": 1, "seed": 1, **wrong})
