"""Critics that need no model: numbers about the two texts of a pair.

A critic scores; a filter (filters.py) decides. Each gives one float64 a pair.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from potstill.metrics.lcs import lcs_length
from potstill.synthesis.facts import IsRare, unsupported_names, unsupported_numbers, words
from potstill.types import TextPair

_CLOSERS = "\"'”’)]"
_BRACKETS = {"(": ")", "[": "]", "“": "”"}


@dataclass(frozen=True)
class PairCritic:
    """A function of one pair, under a name."""

    name: str
    judge: Callable[[TextPair], float]

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        return np.array([self.judge(pair) for pair in pairs], dtype=np.float64)


def length_ratio() -> PairCritic:
    """Words of the target over words of the source."""
    return PairCritic("length_ratio", lambda pair: len(words(pair.target_text)) / max(1, len(words(pair.source))))


def num_words() -> PairCritic:
    return PairCritic("num_words", lambda pair: len(words(pair.target_text)))


def copy_rate() -> PairCritic:
    """ROUGE-L F1 of the target with its source, over lower-case words without stemming."""

    def judge(pair: TextPair) -> float:
        source, target = words(pair.source), words(pair.target_text)
        if not source or not target:
            return 0.0
        return 2 * lcs_length(source, target) / (len(source) + len(target))

    return PairCritic("copy_rate", judge)


def copied_run() -> PairCritic:
    """The share of the target that just repeats how the source begins: 1 for a truncated source."""

    def judge(pair: TextPair) -> float:
        source, target = words(pair.source), words(pair.target_text)
        run = next(
            (index for index, (a, b) in enumerate(zip(source, target, strict=False)) if a != b),
            min(len(source), len(target)),
        )
        return run / max(1, len(target))

    return PairCritic("copied_run", judge)


def new_numbers() -> PairCritic:
    """Numbers of the target that its source does not state."""
    return PairCritic("new_numbers", lambda pair: len(unsupported_numbers(pair.target_text, pair.source)))


def new_names(is_rare: IsRare) -> PairCritic:
    """Names of the target that its source does not hold."""
    return PairCritic("new_names", lambda pair: len(unsupported_names(pair.target_text, pair.source, is_rare)))


def well_formed() -> PairCritic:
    """1 for one whole sentence: it ends as one, its quotes and brackets close, nothing stutters."""
    return PairCritic("well_formed", lambda pair: float(_is_well_formed(pair.target_text)))


def novelty() -> PairCritic:
    """The share of the target's longer words of which no form stands in the source.

    Not used to select pairs: it stays an independent judge of what the student writes.
    """

    def judge(pair: TextPair) -> float:
        stated = {_stem(word) for word in words(pair.source)}
        content = [word for word in words(pair.target_text) if len(word) >= 4]
        return sum(_stem(word) not in stated for word in content) / max(1, len(content))

    return PairCritic("novelty", judge)


def _stem(word: str) -> str:
    return word[: max(4, len(word) - 3)]


def _is_well_formed(text: str) -> bool:
    body = text.strip()
    if not body or "\n" in body or body.rstrip(_CLOSERS + " ")[-1:] not in {".", "?", "!"}:
        return False
    if body.count('"') % 2 or any(body.count(left) != body.count(right) for left, right in _BRACKETS.items()):
        return False
    spoken = words(body)
    return not any(spoken[i : i + 2] == spoken[i + 2 : i + 4] for i in range(len(spoken) - 3)) and not any(
        first == second and len(first) > 3 for first, second in zip(spoken, spoken[1:], strict=False)
    )
