"""How much of a text stands in a corpus: its longest match, the pieces it shares, its matching n-grams.

A word n-gram is the text from the first to the last of n words, with the white space between them. It matches
where a document holds these bytes, even inside longer words. Words are runs without white space; in scripts
that do not space their words every character is one.

**What is found for certain.** With a byte vocabulary, every matching n-gram. With a tokenizer, the words at
the ends of an n-gram may be cut into other tokens in the corpus than in the text, because what stands beside
them differs; so an n-gram is looked for by the tokens of its inner words and each place is then compared byte
by byte. That finds every n-gram of three or more spaced words, wherever it stands, for all tokenizers that
cut a text at white space or have no token that reaches over it. Besides that, runs of tokens are found
wherever their tokens are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.errors import ConfigError
from potstill.index.runs import longest_runs
from potstill.index.words import Aligned, Borders, Int64s, align

if TYPE_CHECKING:
    from potstill.index.reader import Index

Bools = NDArray[np.bool_]

# Texts are looked up together until they have so many tokens.
_BATCH_TOKENS = 1 << 18
# Of an n-gram whose inner words are more frequent than this, places beyond are taken to hold it.
_MOST_COMPARED = 1000


@dataclass(frozen=True)
class OverlapSettings:
    """ngram       n, in words and (with a tokenizer) in tokens, >= 3
    min_words      a text of fewer words than n is one n-gram, if it has at least so many words, >= 3
    """

    ngram: int = 13
    min_words: int = 8

    def __post_init__(self) -> None:
        for name in ("ngram", "min_words"):
            if getattr(self, name) < 3:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 3.")


class TokenSpan(NamedTuple):
    """Tokens of a text, from `start` up to `stop`."""

    start: int
    stop: int

    @property
    def num_tokens(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class Overlap:
    """What a text shares with a corpus.

    aligned      the text
    num_ngrams   word n-grams it has; 0 where it is too short to judge by them
    windows      [M] the words at which matching n-grams begin
    n            words of these n-grams
    token_ngrams [M] the tokens at which matching n-grams of tokens begin; none with a byte vocabulary
    longest      the longest run of tokens that occurs, of equals the first
    shared       the runs of tokens that lie in matching n-grams of words or of tokens, none touching the next
    """

    aligned: Aligned
    num_ngrams: int
    windows: Int64s
    n: int
    token_ngrams: Int64s
    longest: TokenSpan
    shared: tuple[TokenSpan, ...]

    @property
    def num_words(self) -> int:
        return len(self.aligned.words)

    @property
    def num_tokens(self) -> int:
        return len(self.aligned.ids)

    @property
    def num_shared(self) -> int:
        """Tokens in `shared`."""
        return sum(span.num_tokens for span in self.shared)

    @property
    def share(self) -> float:
        """num_shared / num_tokens, in [0, 1]; 0 for a text without tokens."""
        return self.num_shared / max(self.num_tokens, 1)


def measure(
    index: "Index", texts: Sequence[str | bytes], settings: OverlapSettings | None = None, *, threads: int = 1
) -> list[Overlap]:
    """The overlap of each text with the index, in order."""
    chosen = settings or OverlapSettings()
    found: list[Overlap] = []
    aligned = [align(index.vocabulary, text) for text in texts]
    first = 0
    while first < len(aligned):
        stop, num_tokens = first, 0
        while stop < len(aligned) and (stop == first or num_tokens < _BATCH_TOKENS):
            num_tokens += len(aligned[stop].ids)
            stop += 1
        found += _measure_batch(index, aligned[first:stop], chosen, threads)
        first = stop
    return found


def _measure_batch(
    index: "Index", batch: Sequence[Aligned], settings: OverlapSettings, threads: int
) -> list[Overlap]:
    runs = longest_runs(index, [text.ids for text in batch], threads=threads)
    return [_overlap(index, text, run, settings) for text, run in zip(batch, runs, strict=True)]


def _overlap(index: "Index", text: Aligned, runs: Int64s, settings: OverlapSettings) -> Overlap:
    n, num_ngrams = _windows_of(len(text.words), settings)
    is_tokenized = index.vocabulary.kind == "tokenizer"
    windows = np.flatnonzero(_matching(index, text, runs, n, num_ngrams)) if num_ngrams else _NONE
    whole = text.tokens_over(text.words.starts[windows], text.words.stops[windows + n - 1])
    long = np.flatnonzero(runs >= settings.ngram) if is_tokenized else _NONE
    at = int(np.argmax(runs)) if len(runs) else 0
    return Overlap(
        aligned=text,
        num_ngrams=num_ngrams,
        windows=windows,
        n=n,
        token_ngrams=long,
        longest=TokenSpan(at, at + (int(runs[at]) if len(runs) else 0)),
        shared=_union(np.concatenate([whole.starts, long]), np.concatenate([whole.stops, long + runs[long]])),
    )


_NONE = np.zeros(0, np.int64)


def _windows_of(num_words: int, settings: OverlapSettings) -> tuple[int, int]:
    """Words of an n-gram of a text of so many words, and how many n-grams it has."""
    if num_words >= settings.ngram:
        return settings.ngram, num_words - settings.ngram + 1
    return num_words, int(num_words >= settings.min_words)


def _matching(index: "Index", text: Aligned, runs: Int64s, n: int, num_ngrams: int) -> Bools:
    """Which of the text's word n-grams stand in the corpus."""
    words = text.words
    first = np.arange(num_ngrams)
    whole = text.tokens_over(words.starts[first], words.stops[first + n - 1])
    found: Bools = runs[whole.starts] >= whole.stops - whole.starts
    if index.vocabulary.kind == "bytes":
        return found
    inner = inner_tokens(text, first, n)
    lengths = inner.stops - inner.starts
    # An n-gram with no token wholly inside (characters of a script without spaces) cannot be looked for so.
    likely = (lengths > 0) & (runs[np.minimum(inner.starts, len(runs) - 1)] >= lengths)
    for window in np.flatnonzero(likely & ~found).tolist():
        span = TokenSpan(int(inner.starts[window]), int(inner.stops[window]))
        content = (int(words.starts[window]), int(words.stops[window + n - 1]))
        found[window] = bool(places_of(index, text, span, content, limit=1))
    return found


def inner_tokens(text: Aligned, windows: Int64s, n: int) -> Borders:
    """Tokens of the words between the first and the last of each n-gram, untouched by what stands beside it.

    They begin after the first word's end and the white space there, and end before the last word's start.
    """
    words, tokens = text.words, text.tokens
    begins_after = np.searchsorted(tokens.starts, words.stops[windows])
    holds_next = np.searchsorted(tokens.stops, words.starts[windows + 1], side="right")
    ends_before = np.searchsorted(tokens.stops, words.starts[windows + n - 1], side="right")
    holds_last = np.searchsorted(tokens.starts, words.stops[windows + n - 2])
    return Borders(np.maximum(begins_after, holds_next), np.minimum(ends_before, holds_last))


class Place(NamedTuple):
    """A document, and the tokens before the inner tokens of an n-gram in it."""

    document: int
    token_offset: int


def places_of(
    index: "Index", text: Aligned, span: TokenSpan, content: tuple[int, int], *, limit: int | None = None
) -> list[Place]:
    """Where the tokens `span` of the text occur with the bytes `content` of it around them.

    Beyond a thousand compared places the rest is taken to match, so that a gate errs on the safe side.
    """
    before = text.content[content[0] : int(text.tokens.starts[span.start])]
    after = text.content[int(text.tokens.stops[span.stop - 1]) : content[1]]
    found: list[Place] = []
    for number, (document, offset) in enumerate(index.find(text.ids[span.start : span.stop])):
        if number >= _MOST_COMPARED or _stands_between(
            index, document, offset, span.num_tokens, before, after
        ):
            found.append(Place(document, offset))
            if limit is not None and len(found) >= limit:
                break
    return found


def _stands_between(
    index: "Index", document: int, offset: int, num_tokens: int, before: bytes, after: bytes
) -> bool:
    if not before and not after:
        return True
    # A token has at least one byte, but for control tokens, which no text has.
    context_tokens = max(len(before), len(after))
    found = index.occurrence(document, offset, num_tokens, context_tokens=context_tokens)
    spelt, stop = index.vocabulary.bytes_of, found.match_at + num_tokens
    return spelt(found.tokens[: found.match_at]).endswith(before) and spelt(found.tokens[stop:]).startswith(
        after
    )


def _union(starts: Int64s, stops: Int64s) -> tuple[TokenSpan, ...]:
    merged: list[TokenSpan] = []
    for start, stop in sorted(zip(starts.tolist(), stops.tolist(), strict=True)):
        if merged and start <= merged[-1].stop:
            merged[-1] = TokenSpan(merged[-1].start, max(merged[-1].stop, stop))
        else:
            merged.append(TokenSpan(start, stop))
    return tuple(merged)
