"""Each critic on pairs whose score is counted by hand."""

import numpy as np
import pytest

from potstill.synthesis.critics import (
    PairCritic,
    copied_run,
    copy_rate,
    length_ratio,
    new_names,
    new_numbers,
    novelty,
    num_words,
    order_kept,
    well_formed,
)
from potstill.types import TextPair


def score(critic: PairCritic, target: str, source: str = "The old bridge was closed on Monday.") -> float:
    scores = critic.scores([TextPair(source, target)])
    assert scores.shape == (1,) and scores.dtype == np.float64
    return float(scores[0])


def longest_common(first: list[str], second: list[str]) -> int:
    """The textbook recursion, a row at a time."""
    row = [0] * (len(second) + 1)
    for item in first:
        above = row
        row = [0]
        for index, other in enumerate(second):
            row.append(above[index] + 1 if item == other else max(above[index + 1], row[index]))
    return row[-1]


def test_length_ratio_counts_words() -> None:
    assert score(length_ratio(), "The bridge was closed.") == 4 / 7
    assert score(length_ratio(), "") == 0
    assert score(length_ratio(), "Three words here.", source="") == 3


def test_num_words_counts_an_initialism_as_one() -> None:
    assert score(num_words(), "U.S. officials paid 1,200.50 dollars.") == 5


def test_copy_rate_is_rouge_l_f1() -> None:
    source, target = "the old bridge was closed on monday", "bridge closed old monday the"
    common = longest_common(source.split(), target.split())
    assert score(copy_rate(), target, source) == pytest.approx(2 * common / (7 + 5))
    assert score(copy_rate(), source, source) == 1
    assert score(copy_rate(), "", source) == 0


def test_copied_run_is_one_for_a_source_cut_short() -> None:
    assert score(copied_run(), "The old bridge was closed.") == 1
    assert score(copied_run(), "The old bridge reopens.") == 3 / 4
    assert score(copied_run(), "A bridge.") == 0
    assert score(copied_run(), "") == 0


def test_new_numbers_and_names_are_counted() -> None:
    assert score(new_numbers(), "2 bridges of 3 close.", "One of 3 bridges closed.") == 1
    assert score(new_names(lambda word: False), "Mr. Smith met Ann Lee.", "The man met Ann.") == 2


@pytest.mark.parametrize(
    "text",
    [
        "The bridge is closed.",
        "Is the bridge closed?",
        'She said, "It is closed."',
        "The bridge (built in 1902) is closed!",
        "Mr. Lee of the U.S. Army met Dr. Rossi at 9 p.m. on Friday.",
        "the u.s. bridge is closed .",
        "They sailed to Bora Bora and Baden-Baden.",
        "He had had enough.",
    ],
)
def test_a_whole_sentence_is_well_formed(text: str) -> None:
    assert score(well_formed(), text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "The bridge is closed",
        "The bridge is",
        "The bridge...",
        "The bridge\nis closed.",
        'She said, "It is closed.',
        "The bridge (built in 1902 is closed.",
        "The bridge “closed.",
        "It is closed. It will open.",
        "The bridge bridge is closed.",
        "He said he said he was late.",
        "Short: the bridge, the bridge is closed.",
        "Very, very late.",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert score(well_formed(), text) == 0


def test_novelty_is_the_share_of_longer_words_without_a_form_in_the_source() -> None:
    source = "Officials closed the old bridge in Syria on Monday."
    assert score(novelty(), "A Syrian bridge closes.", source) == 0
    assert score(novelty(), "Syrian officials reopened the bridge.", source) == 1 / 4
    assert score(novelty(), "It is on.", source) == 0
    assert score(novelty(), "In 2004 it shut.", "In 2003 it shut.") == 1 / 2


def test_order_kept_is_the_share_of_longer_words_in_the_order_of_the_source() -> None:
    source = "The bank Brightwell sued the baker Pemberton over loans."
    assert score(order_kept(), "Brightwell sues Pemberton.", source) == 1
    assert score(order_kept(), "Pemberton sued Brightwell.", source) == 1 / 3
    assert score(order_kept(), "Brightwell lost against Pemberton.", source) == 2 / 4
    assert score(order_kept(), "Loan loans loaned.", source) == 1 / 3
    assert score(order_kept(), "It is on.", source) == 1


def test_critics_score_each_pair_by_itself() -> None:
    pairs = [TextPair("The old bridge was closed.", "A bridge."), TextPair("It rained.", "It rained again.")]
    for critic in (length_ratio(), copy_rate(), copied_run(), novelty(), order_kept(), well_formed()):
        together = critic.scores(pairs)
        assert together.tolist() == [critic.scores([pair])[0] for pair in pairs]
        assert critic.scores([]).shape == (0,)
