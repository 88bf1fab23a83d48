"""Where a text was seen before: its maximal spans that stand in the corpus, with documents and byte offsets.

The spans are trimmed to whole words, kept by how unlikely they are under the corpus's unigrams, and joined
with up to ten documents each; the documents are ranked by BM25 against the text (the steps of OLMoTrace, Liu
et al. 2025, arXiv:2504.07096, section 3). Spans are verbatim matches: nothing is said about who copied whom.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.errors import ConfigError
from potstill.index.runs import longest_runs, maximal
from potstill.index.traced_documents import TracedDocument, retrieve
from potstill.index.words import Aligned, Borders, Int64s, align

if TYPE_CHECKING:
    from potstill.index.reader import Index

MIN_TOKENS = {"tokenizer": 4, "bytes": 16}


@dataclass(frozen=True)
class TraceSettings:
    """min_tokens     shortest span, in tokens, >= 1; None: 4 tokens of a tokenizer, 16 bytes
    max_count         spans that occur more often are left out; None: none is
    density           spans kept: this times the text's tokens (for bytes, words), rounded up; > 0
    limit_documents   documents a span, >= 0
    context_tokens    tokens shown, and ranked, on each side of a span, >= 0
    """

    min_tokens: int | None = None
    max_count: int | None = None
    density: float = 0.05
    limit_documents: int = 10
    context_tokens: int = 40

    def __post_init__(self) -> None:
        least = {"min_tokens": 1, "max_count": 1, "limit_documents": 0, "context_tokens": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ConfigError(f"{name} is {value}; it must be at least {bound}.")
        if not 0 < self.density < math.inf:
            raise ConfigError(f"density is {self.density}; it must be above 0.")


@dataclass(frozen=True, slots=True)
class TracedSpan:
    """A piece of the text that occurs in the corpus.

    start, stop            tokens of the text
    byte_start, byte_stop  bytes of the text, without the space that the first token may begin with
    count                  occurrences
    logprob                sum of the tokens' unigram log-probabilities (natural): the lower, the more telling
    documents              places in `Trace.documents`, best first
    """

    start: int
    stop: int
    byte_start: int
    byte_stop: int
    text: str
    count: int
    logprob: float
    documents: tuple[int, ...]


class Region(NamedTuple):
    """Bytes of the text that one span covers, or several that overlap: places in `Trace.spans`."""

    byte_start: int
    byte_stop: int
    spans: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Trace:
    """text, content  the text as its tokens spell it, and its bytes
    num_found      maximal spans that were long and rare enough, before `density` chose among them
    spans          those kept, from left to right
    regions        the same, overlapping ones merged
    documents      best first, each once
    """

    text: str
    content: bytes
    token_ids: tuple[int, ...]
    num_found: int
    spans: tuple[TracedSpan, ...]
    regions: tuple[Region, ...]
    documents: tuple[TracedDocument, ...]

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)

    @property
    def num_covered_bytes(self) -> int:
        return sum(region.byte_stop - region.byte_start for region in self.regions)


def trace(index: "Index", text: str | bytes, settings: TraceSettings | None = None) -> Trace:
    """What of `text` stands in the index, and where."""
    chosen = settings or TraceSettings()
    aligned = align(index.vocabulary, text)
    candidates = _candidates(index, aligned, chosen)
    kept = _rarest(candidates, _num_kept(index, aligned, chosen))
    found = retrieve(
        index,
        aligned,
        [(span.start, span.stop) for span in kept],
        limit=chosen.limit_documents,
        context_tokens=chosen.context_tokens,
    )
    spans = [_traced(aligned, span, places) for span, places in zip(kept, found.places, strict=True)]
    return Trace(
        text=aligned.content.decode(errors="replace"),
        content=aligned.content,
        token_ids=tuple(aligned.ids.tolist()),
        num_found=len(candidates),
        spans=tuple(spans),
        regions=tuple(_regions(spans)),
        documents=found.documents,
    )


class _Candidate(NamedTuple):
    start: int
    stop: int
    num_occurrences: int
    logprob: float


def _candidates(index: "Index", text: Aligned, settings: TraceSettings) -> list[_Candidate]:
    """Maximal spans cut to whole words that are long and rare enough, from left to right."""
    shortest = settings.min_tokens or MIN_TOKENS[index.vocabulary.kind]
    (runs,) = longest_runs(index, [text.ids])
    spans = maximal(runs, shortest)
    whole = _whole_words(text, spans.starts, spans.stops)
    long = whole.stops - whole.starts >= shortest
    starts, stops = whole.starts[long], whole.stops[long]
    lengths = stops - starts
    if not len(lengths):
        return []
    ids = np.concatenate([text.ids[start:stop] for start, stop in zip(starts, stops, strict=True)])
    counts = index.count_batch(ids, np.concatenate([[0], np.cumsum(lengths)]))
    logprobs = np.concatenate([[0.0], np.cumsum(_unigram_logprobs(index, text.ids))])
    return [
        _Candidate(start, stop, count, float(logprobs[stop] - logprobs[start]))
        for start, stop, count in zip(starts.tolist(), stops.tolist(), counts.tolist(), strict=True)
        if count > 0 and (settings.max_count is None or count <= settings.max_count)
    ]


def _whole_words(text: Aligned, starts: Int64s, stops: Int64s) -> Borders:
    """The spans without the pieces of words at their ends; none inside another, none empty."""
    pieces, tokens = text.pieces, text.tokens
    first = np.searchsorted(pieces.starts, tokens.starts[starts])
    last = np.searchsorted(pieces.stops, tokens.stops[stops - 1], side="right") - 1
    is_whole = first <= last
    first, last = first[is_whole], last[is_whole]
    # Borders never fall from span to span, so one inside another shares a border with its neighbour.
    grows = np.diff(last, prepend=-1) > 0
    first, last = first[grows], last[grows]
    is_outer = np.diff(first, append=len(pieces)) > 0
    return text.tokens_over(pieces.starts[first[is_outer]], pieces.stops[last[is_outer]])


def _unigram_logprobs(index: "Index", ids: NDArray[np.uint32]) -> NDArray[np.float64]:
    """[T] log of the share of the corpus's tokens; a token that never occurs counts as once."""
    distinct, places = np.unique(ids, return_inverse=True)
    counts = np.maximum(index.count_batch(distinct, np.arange(len(distinct) + 1)), 1)
    logprobs: NDArray[np.float64] = np.log(counts / max(index.num_tokens, 1))[places]
    return logprobs


def _num_kept(index: "Index", text: Aligned, settings: TraceSettings) -> int:
    length = len(text.words) if index.vocabulary.kind == "bytes" else len(text.ids)
    return math.ceil(settings.density * length)


def _rarest(candidates: Sequence[_Candidate], limit: int) -> list[_Candidate]:
    """The least likely ones, of equals the first, from left to right."""
    chosen = sorted(candidates, key=lambda span: (span.logprob, span.start))[:limit]
    return sorted(chosen, key=lambda span: span.start)


def _traced(text: Aligned, span: _Candidate, documents: Sequence[int]) -> TracedSpan:
    first, stop = int(text.tokens.starts[span.start]), int(text.tokens.stops[span.stop - 1])
    held = text.content[first:stop]
    # A token may bring the space before its word.
    byte_start = first + len(held) - len(held.lstrip())
    byte_stop = byte_start + len(held.strip())
    return TracedSpan(
        start=span.start,
        stop=span.stop,
        byte_start=byte_start,
        byte_stop=byte_stop,
        text=text.content[byte_start:byte_stop].decode(errors="replace"),
        count=span.num_occurrences,
        logprob=span.logprob,
        documents=tuple(documents),
    )


def _regions(spans: Sequence[TracedSpan]) -> Iterator[Region]:
    open_region: Region | None = None
    for number, span in enumerate(spans):
        if open_region is not None and span.byte_start < open_region.byte_stop:
            stop = max(open_region.byte_stop, span.byte_stop)
            open_region = Region(open_region.byte_start, stop, (*open_region.spans, number))
            continue
        if open_region is not None:
            yield open_region
        open_region = Region(span.byte_start, span.byte_stop, (number,))
    if open_region is not None:
        yield open_region
