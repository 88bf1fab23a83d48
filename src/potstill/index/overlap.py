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

from collections.abc import Iterable, Iterator, Sequence
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
# Of inner words that are more frequent than this, places beyond are taken to hold the n-gram.
_MOST_COMPARED = 10_000


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
    is_tokenized = index.vocabulary.kind == "tokenizer"
    windows = [_windows(text, run, settings, is_tokenized) for text, run in zip(batch, runs, strict=True)]
    # Together: what many texts have in common, such as an exam's instructions, is looked for once.
    standing = stand(index, {ngram for each in windows for ngram in each.unsure.values()})
    return [
        _overlap(text, run, each, standing, settings.ngram if is_tokenized else None)
        for text, run, each in zip(batch, runs, windows, strict=True)
    ]


def _overlap(
    text: Aligned, runs: Int64s, of_words: "_Windows", standing: "set[Ngram]", num_tokens: int | None
) -> Overlap:
    """`num_tokens` is n of the n-grams of tokens; None: none are looked at."""
    n = of_words.n
    also = [window for window, ngram in of_words.unsure.items() if ngram in standing]
    windows = np.sort(np.concatenate([np.flatnonzero(of_words.found), np.array(also, np.int64)]))
    whole = text.tokens_over(text.words.starts[windows], text.words.stops[windows + n - 1])
    long = _NONE if num_tokens is None else np.flatnonzero(runs >= num_tokens)
    at = int(np.argmax(runs)) if len(runs) else 0
    return Overlap(
        aligned=text,
        num_ngrams=len(of_words.found),
        windows=windows,
        n=n,
        token_ngrams=long,
        longest=TokenSpan(at, at + (int(runs[at]) if len(runs) else 0)),
        shared=_union(np.concatenate([whole.starts, long]), np.concatenate([whole.stops, long + runs[long]])),
    )


_NONE = np.zeros(0, np.int64)


class Ngram(NamedTuple):
    """Bytes that are looked for: those of the tokens `inner` (uint32), with others around them."""

    inner: bytes
    before: bytes
    after: bytes


class _Windows(NamedTuple):
    """found: of each word n-gram of a text, whether it stands in the corpus as the text's own tokens;
    unsure: by number, those that may stand there as others.
    """

    n: int
    found: Bools
    unsure: dict[int, Ngram]


def _windows(text: Aligned, runs: Int64s, settings: OverlapSettings, is_tokenized: bool) -> _Windows:
    n = settings.ngram
    num_ngrams = len(text.words) - n + 1
    if num_ngrams < 1:
        n, num_ngrams = len(text.words), int(len(text.words) >= settings.min_words)
    words = text.words
    first = np.arange(num_ngrams)
    whole = text.tokens_over(words.starts[first], words.stops[first + n - 1])
    found: Bools = runs[whole.starts] >= whole.stops - whole.starts
    if not is_tokenized or not num_ngrams:
        return _Windows(n, found, {})
    inner = inner_tokens(text, first, n)
    lengths = inner.stops - inner.starts
    # An n-gram with no token wholly inside (characters of a script without spaces) cannot be looked for so.
    likely = (lengths > 0) & (runs[np.minimum(inner.starts, len(runs) - 1)] >= lengths)
    unsure = {}
    for window in np.flatnonzero(likely & ~found).tolist():
        span = TokenSpan(int(inner.starts[window]), int(inner.stops[window]))
        content = (int(words.starts[window]), int(words.stops[window + n - 1]))
        unsure[window] = ngram_of(text, span, content)
    return _Windows(n, found, unsure)


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


def ngram_of(text: Aligned, span: TokenSpan, content: tuple[int, int]) -> Ngram:
    """The bytes `content` of a text, to be looked for by its tokens `span` inside them."""
    return Ngram(
        inner=text.ids[span.start : span.stop].tobytes(),
        before=text.content[content[0] : int(text.tokens.starts[span.start])],
        after=text.content[int(text.tokens.stops[span.stop - 1]) : content[1]],
    )


def stand(index: "Index", ngrams: Iterable[Ngram]) -> set[Ngram]:
    """Which of the n-grams stand in a document.

    Beyond ten thousand places of an n-gram's inner tokens the rest is taken to match, so that a gate errs on
    the safe side.
    """
    found: set[Ngram] = set()
    for alike in _by_inner(ngrams):
        left = set(alike)
        for _, held in _matches(index, alike):
            left -= held
            if not left:
                break
        found |= alike - left
    return found


def documents_of(index: "Index", ngrams: Iterable[Ngram]) -> set[int]:
    """Numbers of the documents that hold any of the n-grams, found as by `stand`."""
    return {document for alike in _by_inner(ngrams) for document, _ in _matches(index, alike)}


def _by_inner(ngrams: Iterable[Ngram]) -> Iterable[set[Ngram]]:
    groups: dict[bytes, set[Ngram]] = {}
    for ngram in ngrams:
        groups.setdefault(ngram.inner, set()).add(ngram)
    return groups.values()


def _matches(index: "Index", alike: set[Ngram]) -> Iterator[tuple[int, set[Ngram]]]:
    """(document, those that stand there) for each place of the inner tokens, which all of `alike` have."""
    inner = next(iter(alike)).inner
    ids = np.frombuffer(inner, np.uint32)
    sizes = {(len(ngram.before), len(ngram.after)) for ngram in alike}
    # A token has at least one byte, but for control tokens, which no text has.
    num_beside = max(map(max, sizes))
    spelt = index.vocabulary.bytes_of
    for number, (document, offset) in enumerate(index.find(ids)):
        if number >= _MOST_COMPARED or not num_beside:
            yield document, alike
            continue
        before, after = map(spelt, index.tokens_beside(document, offset, len(ids), num_beside))
        held = {Ngram(inner, before[max(len(before) - a, 0) :], after[:b]) for a, b in sizes} & alike
        if held:
            yield document, held


def _union(starts: Int64s, stops: Int64s) -> tuple[TokenSpan, ...]:
    merged: list[TokenSpan] = []
    for start, stop in sorted(zip(starts.tolist(), stops.tolist(), strict=True)):
        if merged and start <= merged[-1].stop:
            merged[-1] = TokenSpan(merged[-1].start, max(merged[-1].stop, stop))
        else:
            merged.append(TokenSpan(start, stop))
    return tuple(merged)
