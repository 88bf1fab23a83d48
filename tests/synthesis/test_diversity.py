"""Components and their best pairs, against a search by brute force."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from potstill.synthesis.diversity import best_of_each
from potstill.types import TextPair


@dataclass
class SameLetter:
    """Two texts say the same when they share their first letter."""

    name: str = "same_letter"
    asked: list[TextPair] = field(default_factory=list)

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        self.asked += pairs
        return np.array([0.5 if pair.source[0] == pair.target_text[0] else 0.0 for pair in pairs])


def brute_force(pairs: Sequence[TextPair], quality: np.ndarray) -> list[int]:
    """Grow each component from its first pair until nothing joins it, then take its best."""

    def is_joined(first: TextPair, second: TextPair) -> bool:
        same_target = first.target_text[0] == second.target_text[0]
        return same_target or (first.source != second.source and first.source[0] == second.source[0])

    left, best = set(range(len(pairs))), []
    while left:
        group = {min(left)}
        while joining := {i for i in left - group if any(is_joined(pairs[i], pairs[j]) for j in group)}:
            group |= joining
        left -= group
        best.append(max(sorted(group), key=lambda index: quality[index]))
    return sorted(best)


texts = st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 2)).map(lambda parts: f"{parts[0]}{parts[1]}")
contexts = st.lists(st.tuples(st.builds(TextPair, texts, texts), st.integers(0, 3)), max_size=14)


@given(contexts)
def test_the_best_of_each_component_is_what_a_search_finds(context: list[tuple[TextPair, int]]) -> None:
    pairs = [pair for pair, _ in context]
    quality = np.array([float(value) for _, value in context])
    assert best_of_each(pairs, quality, SameLetter(), 0.5) == brute_force(pairs, quality)


def test_pairs_of_one_given_source_are_joined_by_their_targets_only() -> None:
    pairs = [TextPair("s", "a1"), TextPair("s", "a2"), TextPair("s", "b1")]
    assert best_of_each(pairs, np.array([1.0, 2.0, 0.0]), SameLetter(), 0.5) == [1, 2]


def test_sources_that_say_the_same_join_their_pairs() -> None:
    pairs = [TextPair("s1", "a"), TextPair("s2", "b"), TextPair("t1", "c")]
    assert best_of_each(pairs, np.array([1.0, 2.0, 3.0]), SameLetter(), 0.5) == [1, 2]


def test_the_threshold_itself_counts_as_saying_the_same() -> None:
    pairs = [TextPair("s", "a1"), TextPair("s", "a2")]
    quality = np.array([1.0, 2.0])
    assert best_of_each(pairs, quality, SameLetter(), 0.5) == [1]
    assert best_of_each(pairs, quality, SameLetter(), np.nextafter(0.5, 1)) == [0, 1]


def test_on_a_tie_the_first_pair_stays() -> None:
    pairs = [TextPair("s", "a1"), TextPair("s", "a2"), TextPair("s", "a3")]
    assert best_of_each(pairs, np.array([1.0, 2.0, 2.0]), SameLetter(), 0.5) == [1]


def test_equal_texts_say_the_same_without_a_question() -> None:
    critic = SameLetter()
    pairs = [TextPair("s", "a"), TextPair("s", "a"), TextPair("s", "a")]
    assert best_of_each(pairs, np.zeros(3), critic, 0.5) == [0]
    assert critic.asked == []


def test_no_question_is_asked_twice() -> None:
    critic = SameLetter()
    pairs = [TextPair(source, target) for source in ("s1", "t1") for target in ("a1", "b1", "c1")]
    best_of_each(pairs, np.zeros(6), critic, 0.5)
    assert len(critic.asked) == len(set(critic.asked))


def test_no_pairs_give_none() -> None:
    assert best_of_each([], np.zeros(0), SameLetter(), 0.5) == []
