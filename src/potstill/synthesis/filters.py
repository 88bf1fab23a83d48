"""A filter holds a critic's score against a range; a funnel counts what each filter lets through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from potstill.synthesis.critics import (
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
from potstill.synthesis.facts import IsRare
from potstill.tasks.task import Limits
from potstill.types import Critic, TextPair

# A quarter of the longer words may be new or out of order: room for one synonym in a short sentence.
_MAX_NOVELTY, _MIN_ORDER = 0.25, 0.75
# One whole sentence in twenty may end where a model does not expect it.
_ODD_ENDINGS = 0.05


@dataclass(frozen=True)
class Filter:
    """Lets a pair through when minimum <= score <= maximum; `reason` is what a rejected one counts under."""

    critic: Critic
    reason: str
    minimum: float = -np.inf
    maximum: float = np.inf

    def accepts(self, scores: np.ndarray) -> np.ndarray:
        """Booleans [num_pairs]; NaN is never accepted."""
        return (scores >= self.minimum) & (scores <= self.maximum)


class Verdicts(NamedTuple):
    """reasons[i] is None for a kept pair; scores[name][i] is NaN where it fell before that critic."""

    reasons: list[str | None]
    scores: dict[str, np.ndarray]

    @property
    def kept(self) -> list[int]:
        return [index for index, reason in enumerate(self.reasons) if reason is None]


def plain_filters(limits: Limits, is_rare: IsRare) -> list[Filter]:
    """The filters that need no model, cheapest first."""
    return [
        Filter(well_formed(), "not one whole sentence", minimum=1),
        Filter(num_words(), "too few words", minimum=limits.min_words),
        Filter(length_ratio(), "too long", maximum=limits.max_length_ratio),
        Filter(length_ratio(), "too short", minimum=limits.min_length_ratio),
        Filter(copied_run(), "the source cut short", maximum=limits.max_copied_run),
        Filter(copy_rate(), "a copy", maximum=limits.max_copy),
        Filter(new_numbers(), "a number the source lacks", maximum=0),
        Filter(new_names(is_rare), "a name the source lacks", maximum=0),
    ]


def independent_filters(limits: Limits, completeness: Filter) -> list[Filter]:
    """Judges that took no part in selection, but for form and length, without which a copy would win."""
    return [
        Filter(well_formed(), "not one whole sentence", minimum=1),
        Filter(length_ratio(), "too long", maximum=limits.max_length_ratio),
        Filter(length_ratio(), "too short", minimum=limits.min_length_ratio),
        Filter(novelty(), "words the source lacks", maximum=_MAX_NOVELTY),
        Filter(order_kept(), "another order", minimum=_MIN_ORDER),
        completeness,
    ]


def completeness_filter(critic: Critic, sentences: Sequence[str]) -> Filter:
    """Asks that a target ends as readily as all but the oddest of `sentences`, which are whole."""
    scores = critic.scores([TextPair(sentence, sentence) for sentence in sentences])
    return Filter(critic, "ends too early", minimum=float(np.quantile(scores, _ODD_ENDINGS)))


def judge(pairs: Sequence[TextPair], filters: Sequence[Filter]) -> Verdicts:
    """Ask each filter in turn about the pairs that are still in, so that dear critics see few of them."""
    reasons: list[str | None] = [None] * len(pairs)
    scores: dict[str, np.ndarray] = {}
    for filter_ in filters:
        standing = [index for index, reason in enumerate(reasons) if reason is None]
        column = scores.setdefault(filter_.critic.name, np.full(len(pairs), np.nan))
        # Two filters may share a critic (a lower and an upper bound): ask it once.
        asked = [index for index in standing if np.isnan(column[index])]
        if asked:
            column[asked] = filter_.critic.scores([pairs[index] for index in asked])
        for index, accepted in zip(standing, filter_.accepts(column[standing]), strict=True):
            if not accepted:
                reasons[index] = filter_.reason
    return Verdicts(reasons, scores)


def passes_all(pairs: Sequence[TextPair], filters: Sequence[Filter]) -> np.ndarray:
    """Booleans [num_pairs]."""
    return np.array([reason is None for reason in judge(pairs, filters).reasons], dtype=bool)


def count_reasons(reasons: Sequence[str | None]) -> Mapping[str, int]:
    """Rejected pairs by reason, most frequent first."""
    rejected = [reason for reason in reasons if reason is not None]
    return dict(
        sorted(((name, rejected.count(name)) for name in set(rejected)), key=lambda item: (-item[1], item[0]))
    )
