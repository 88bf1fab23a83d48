"""How much of an output stands in its source: lengths, copied words, new words.

Words are runs of letters and digits, compared without case; nothing is stemmed.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def compression_ratio(source: str, output: str) -> float:
    """Characters of the output for each of the source; `source` is not empty."""
    assert source, "a ratio needs a source"
    return len(output) / len(source)


def novel_ngram_share(source: str, output: str, size: int) -> float:
    """The share of the output's n-grams of `size` words that are not in the source; 0 without n-grams."""
    known = set(_ngrams(words_of(source), size))
    ngrams = _ngrams(words_of(output), size)
    return sum(ngram not in known for ngram in ngrams) / len(ngrams) if ngrams else 0.0


class Fragments(NamedTuple):
    """How extractive an output is (Grusky et al. 2018, arXiv:1804.11283, section 4.1).

    coverage        share of the output's words that lie in runs copied from the source, [0, 1]
    density         mean length, in words, of the run that a word of the output lies in
    longest_words   words in the longest copied run
    """

    coverage: float
    density: float
    longest_words: int


def copied_fragments(source: str, output: str) -> Fragments:
    """The runs found greedily from left to right, each the longest that starts there."""
    source_words, output_words = words_of(source), words_of(output)
    lengths = _fragment_lengths(source_words, output_words)
    num_words = max(len(output_words), 1)
    return Fragments(
        coverage=sum(lengths) / num_words,
        density=sum(length * length for length in lengths) / num_words,
        longest_words=max(lengths, default=0),
    )


def _fragment_lengths(source: Sequence[str], output: Sequence[str]) -> list[int]:
    starts: dict[str, list[int]] = {}
    for index, word in enumerate(source):
        starts.setdefault(word, []).append(index)
    lengths, position = [], 0
    while position < len(output):
        runs = (_run_length(source, start, output, position) for start in starts.get(output[position], ()))
        length = max(runs, default=0)
        if length:
            lengths.append(length)
        position += max(length, 1)
    return lengths


def _run_length(source: Sequence[str], start: int, output: Sequence[str], position: int) -> int:
    length = 0
    while (
        start + length < len(source)
        and position + length < len(output)
        and source[start + length] == output[position + length]
    ):
        length += 1
    return length


def _ngrams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
