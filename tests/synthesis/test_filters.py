"""Every filter just under, at and just over its threshold, and the funnel's bookkeeping."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from potstill.synthesis.filters import (
    Filter,
    completeness_filter,
    count_reasons,
    independent_filters,
    judge,
    passes_all,
    plain_filters,
)
from potstill.tasks.task import Limits
from potstill.types import TextPair

SOURCE = "one1 two2 three3 four4 five5 six6 seven7 eight8 nine9 ten10"
LIMITS = Limits(min_length_ratio=0.3, max_length_ratio=0.6, min_words=4, max_copy=0.75, max_copied_run=0.5)


def never(word: str) -> bool:
    return False


def filter_for(reason: str) -> Filter:
    (found,) = [each for each in plain_filters(LIMITS, never) if each.reason == reason]
    return found


@dataclass
class Scripted:
    """Gives each target the score its text says, and remembers what it was asked."""

    name: str = "scripted"
    asked: list[str] = field(default_factory=list)

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        self.asked += [pair.target_text for pair in pairs]
        return np.array([float(pair.target_text) for pair in pairs])


def pairs_of(*targets: str) -> list[TextPair]:
    return [TextPair("source", target) for target in targets]


def plain(count: int, prefix: str = "w") -> str:
    """`count` words that stand nowhere else."""
    return " ".join(prefix + "abcdefghijklmnopqrstuvwxyz"[index] for index in range(count))


def accepted(reason: str, source: str, target: str) -> bool:
    filter_ = filter_for(reason)
    return bool(filter_.accepts(filter_.critic.scores([TextPair(source, target)]))[0])


@pytest.mark.parametrize(
    ("reason", "source", "inside", "outside"),
    [
        # 4 words are allowed, 3 are not.
        ("too few words", plain(10), [plain(4, "t"), plain(5, "t")], [plain(3, "t"), ""]),
        # 6 of 10 words is 0.6.
        ("too long", plain(10), [plain(5, "t"), plain(6, "t")], [plain(7, "t")]),
        # 3 of 10 words is 0.3.
        ("too short", plain(10), [plain(3, "t"), plain(4, "t")], [plain(2, "t")]),
        # A run of 2 in 4 words is 0.5.
        ("the source cut short", "wa wb wc wd", ["wa x y z", "wa wb y z"], ["wa wb wc z", "wa wb wc wd"]),
        # 3 common words of 4 and 4 are 0.75.
        ("a copy", "wa wb wc wd", ["x wb wc z", "x wb wc wd"], ["wa wb wc wd", "wa wb wc"]),
        ("a number the source lacks", "3 men and twenty women", ["3 men", "20 women"], ["4 men", "1 and 2"]),
        ("a name the source lacks", "We met Ann Lee.", ["A man met Ann.", "Lee."], ["A man met Eve."]),
        ("not one whole sentence", "It rained.", ["It rained."], ["It rained", "It rained. It did."]),
    ],
)
def test_every_plain_filter_at_its_threshold(
    reason: str, source: str, inside: list[str], outside: list[str]
) -> None:
    assert [accepted(reason, source, target) for target in inside] == [True] * len(inside)
    assert [accepted(reason, source, target) for target in outside] == [False] * len(outside)


def test_the_table_above_leaves_no_plain_filter_out() -> None:
    (marks,) = [mark for mark in test_every_plain_filter_at_its_threshold.pytestmark]  # type: ignore[attr-defined]
    assert {case[0] for case in marks.args[1]} == {each.reason for each in plain_filters(LIMITS, never)}


@pytest.mark.parametrize(
    ("reason", "inside", "outside"),
    [
        ("too long", "alpha bravo carol delta echos foxes", "alpha bravo carol delta echos foxes golfs"),
        ("too short", "alpha bravo carol", "alpha bravo"),
        # Of four longer words one may be new, or out of order; of three none.
        ("words the source lacks", "alpha bravo carol zzzzz", "alpha bravo zzzzz"),
        ("another order", "alpha bravo delta carol", "alpha carol bravo"),
        ("not one whole sentence", "Alpha bravo.", "Alpha bravo"),
        ("ends too early", "1", "0.9"),
    ],
)
def test_every_independent_filter_at_its_threshold(reason: str, inside: str, outside: str) -> None:
    source = "alpha bravo carol delta echos foxes golfs hotel india julia"
    filters = independent_filters(LIMITS, Filter(Scripted(), "ends too early", minimum=1))
    (filter_,) = [each for each in filters if each.reason == reason]
    pairs = [TextPair(source, inside), TextPair(source, outside)]
    assert filter_.accepts(filter_.critic.scores(pairs)).tolist() == [True, False]


def test_the_completeness_filter_accepts_all_but_the_oddest_of_whole_sentences() -> None:
    sentences = [str(number) for number in range(201)]
    filter_ = completeness_filter(Scripted(), sentences)
    assert 0 < filter_.minimum <= 0.1 * 200
    scores = np.arange(201.0)
    assert filter_.accepts(scores).sum() == sum(score >= filter_.minimum for score in scores)


def test_both_bounds_are_inclusive_and_nan_is_never_accepted() -> None:
    filter_ = Filter(Scripted(), "reason", minimum=0.25, maximum=0.5)
    under, over = np.nextafter(0.25, 0), np.nextafter(0.5, 1)
    scores = np.array([under, 0.25, 0.3, 0.5, over, np.nan, np.inf, -np.inf])
    assert filter_.accepts(scores).tolist() == [False, True, True, True, False, False, False, False]
    assert not Filter(Scripted(), "no bounds").accepts(np.array([np.nan]))[0]


def test_a_pair_falls_to_the_first_filter_and_later_critics_are_not_asked() -> None:
    first, second = Scripted("first"), Scripted("second")
    filters = [Filter(first, "low", minimum=1), Filter(second, "high", maximum=2)]
    verdicts = judge(pairs_of("0", "1", "2", "3"), filters)
    assert verdicts.reasons == ["low", None, None, "high"]
    assert verdicts.kept == [1, 2]
    assert second.asked == ["1", "2", "3"]
    np.testing.assert_array_equal(verdicts.scores["first"], [0, 1, 2, 3])
    np.testing.assert_array_equal(verdicts.scores["second"], [np.nan, 1, 2, 3])


def test_filters_that_share_a_critic_ask_it_once() -> None:
    critic = Scripted()
    filters = [Filter(critic, "low", minimum=1), Filter(critic, "high", maximum=2)]
    assert judge(pairs_of("0", "1", "3"), filters).reasons == ["low", None, "high"]
    assert critic.asked == ["0", "1", "3"]


def test_a_critic_that_answers_nan_rejects() -> None:
    assert judge(pairs_of("nan"), [Filter(Scripted(), "no answer")]).reasons == ["no answer"]


def test_no_pairs_and_no_filters_are_fine() -> None:
    assert judge([], [Filter(Scripted(), "any")]).reasons == []
    assert judge(pairs_of("1"), []).kept == [0]
    assert judge(pairs_of("0"), [Filter(Scripted(), "low", minimum=1), Filter(Scripted("b"), "b")]).kept == []


def test_passes_all_is_the_mask_of_the_kept() -> None:
    mask = passes_all(pairs_of("0", "1"), [Filter(Scripted(), "low", minimum=1)])
    assert mask.dtype == bool
    assert mask.tolist() == [False, True]


def test_reasons_are_counted_most_frequent_first_then_by_name() -> None:
    counted = count_reasons(["b", None, "a", "c", "c", None])
    assert list(counted.items()) == [("c", 2), ("a", 1), ("b", 1)]


def test_the_demonstrations_of_shorten_pass_its_own_plain_filters() -> None:
    from potstill.tasks.task import load_task

    task = load_task("shorten")
    verdicts = judge(task.shot_pairs(), plain_filters(task.limits, never))
    # One demonstration says `smokers` for `people who smoke`: no filter minds.
    assert verdicts.reasons == [None] * len(task.shots)
