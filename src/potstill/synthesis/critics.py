"""Critics that need no model: numbers about the two texts of a pair.

A critic scores; a filter (filters.py) decides. Each gives one float64 a pair.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from potstill.corpus.sentences import split_sentences
from potstill.metrics.lcs import lcs_length
from potstill.synthesis.facts import IsRare, unsupported_names, unsupported_numbers, words
from potstill.synthesis.word_forms import are_forms_of_one
from potstill.types import TextPair

# Words of fewer letters are mostly articles, prepositions and auxiliaries.
_LONGER = 4
_CLOSERS = "\"'”’)]"
_BRACKETS = {"(": ")", "[": "]", "“": "”"}
_DOUBLED = re.compile(r"\b([^\W\d_]{4,}),?\s+(\1)\b", re.IGNORECASE)


@dataclass(frozen=True)
class PairCritic:
    """A function of one pair, under a name."""

    name: str
    judge: Callable[[TextPair], float]

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        return np.array([self.judge(pair) for pair in pairs], dtype=np.float64)


def length_ratio() -> PairCritic:
    """Words of the target over words of the source."""
    return PairCritic(
        "length_ratio", lambda pair: len(words(pair.target_text)) / max(1, len(words(pair.source)))
    )


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
    return PairCritic(
        "new_names", lambda pair: len(unsupported_names(pair.target_text, pair.source, is_rare))
    )


def well_formed() -> PairCritic:
    """1 for one whole sentence: just one, it ends, its quotes and brackets close, nothing stutters."""
    return PairCritic("well_formed", lambda pair: float(_is_well_formed(pair.target_text)))


def novelty() -> PairCritic:
    """The share of the target's longer words of which no form stands in the source.

    Not used to select pairs: it stays an independent judge of what the student writes.
    """

    def judge(pair: TextPair) -> float:
        stated = set(words(pair.source))
        content = _longer_words(pair.target_text)
        new = [word for word in content if not any(are_forms_of_one(word, other) for other in stated)]
        return len(new) / max(1, len(content))

    return PairCritic("novelty", judge)


def order_kept() -> PairCritic:
    """The share of the target's longer words that stand in the source in the same order; 1 where it has none.

    Like novelty it takes no part in selection: a swapped role (`A sues B` from `B sues A`) shows here.
    """

    def judge(pair: TextPair) -> float:
        content = _longer_words(pair.target_text)
        return _forms_in_order(content, words(pair.source)) / len(content) if content else 1.0

    return PairCritic("order_kept", judge)


def _longer_words(text: str) -> list[str]:
    return [word for word in words(text) if len(word) >= _LONGER]


def _forms_in_order(targets: Sequence[str], sources: Sequence[str]) -> int:
    """The length of a longest common subsequence, where forms of one word count as equal."""
    representative: dict[str, str] = {}
    for word in targets:
        near = next((known for known in representative.values() if are_forms_of_one(word, known)), word)
        representative[word] = near
    named = [
        next((form for word, form in representative.items() if are_forms_of_one(word, other)), other)
        for other in sources
    ]
    return lcs_length([representative[word] for word in targets], named)


def _is_well_formed(text: str) -> bool:
    body = text.strip()
    ending = body.rstrip(_CLOSERS + " ")[-3:]
    if "\n" in body or ending[-1:] not in {".", "?", "!"} or ending in {"...", ". ."}:
        return False
    if body.count('"') % 2 or any(body.count(left) != body.count(right) for left, right in _BRACKETS.items()):
        return False
    return len(split_sentences(body)) == 1 and not _stutters(body)


def _stutters(text: str) -> bool:
    """Two words are said twice in a row, or a long one is; `Bora Bora` may be."""
    spoken = words(text)
    return any(spoken[i : i + 2] == spoken[i + 2 : i + 4] for i in range(len(spoken) - 3)) or any(
        not match.group(2)[0].isupper() for match in _DOUBLED.finditer(text)
    )
