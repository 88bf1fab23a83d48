"""ROUGE-1, ROUGE-2 and ROUGE-L, equal to the package rouge-score with stemming (Lin 2004).

Texts are lower-cased, split at everything but a-z and 0-9, and words of more than three letters are stemmed
(Porter), so a script without Latin letters has no words here.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from potstill.metrics.lcs import lcs_length


class Rouge(NamedTuple):
    """One number in [0, 1] for each kind: F1 or recall, as the function that made it says."""

    rouge_1: float
    rouge_2: float
    rouge_l: float


class Overlap(NamedTuple):
    """What an output shares with a reference: shares in [0, 1]."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def rouge_f1(references: Sequence[str], output: str) -> Rouge:
    """F1 of each kind against the reference that suits it best; `references` is not empty."""
    return _best([[overlap.f1 for overlap in kinds] for kinds in _against_each(references, output)])


def rouge_recall(references: Sequence[str], output: str, limit_bytes: int = 75) -> Rouge:
    """Recall of each kind by the first `limit_bytes` of the output (DUC 2004, task 1); the best reference."""
    cut = output.encode()[:limit_bytes].decode(errors="ignore")
    return _best([[overlap.recall for overlap in kinds] for kinds in _against_each(references, cut)])


def rouge_l_f1(reference: str, output: str) -> float:
    """ROUGE-L alone: how much of one text stands in the other in order."""
    return _lcs_overlap(rouge_words(reference), rouge_words(output)).f1


def rouge_words(text: str) -> list[str]:
    """The stemmed words that ROUGE compares."""
    from rouge_score.tokenize import tokenize

    words: list[str] = tokenize(text, _porter_stemmer())
    return words


class _CachedStemmer:
    """A text's words repeat, and stemming is most of the time."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = lru_cache(maxsize=1 << 16)(PorterStemmer().stem)


@lru_cache(maxsize=1)
def _porter_stemmer() -> Any:
    return _CachedStemmer()


def _against_each(references: Sequence[str], output: str) -> list[tuple[Overlap, Overlap, Overlap]]:
    assert references, "ROUGE needs a reference"
    words = rouge_words(output)
    return [_overlaps(rouge_words(reference), words) for reference in references]


def _overlaps(reference: list[str], output: list[str]) -> tuple[Overlap, Overlap, Overlap]:
    return (
        _count_overlap(Counter(reference), Counter(output)),
        _count_overlap(Counter(pairwise(reference)), Counter(pairwise(output))),
        _lcs_overlap(reference, output),
    )


def _count_overlap(reference: Counter[Any], output: Counter[Any]) -> Overlap:
    return _overlap((reference & output).total(), reference.total(), output.total())


def _lcs_overlap(reference: list[str], output: list[str]) -> Overlap:
    return _overlap(lcs_length(reference, output), len(reference), len(output))


def _overlap(num_shared: int, num_reference: int, num_output: int) -> Overlap:
    return Overlap(precision=num_shared / max(num_output, 1), recall=num_shared / max(num_reference, 1))


def _best(rows: list[list[float]]) -> Rouge:
    return Rouge(*(max(column) for column in zip(*rows, strict=True)))
