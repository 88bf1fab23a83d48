"""The decontamination gate: evaluation records against a corpus, and no when one of them stands in it.

A record is *contaminated* when the share of its tokens that lie in matching n-grams reaches a threshold, or
its longest match reaches a number of words. What is found is exact (see `overlap`); what is not looked for:
the same words in another case, with other white space, or paraphrased.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.errors import ConfigError, RefusedError, UsageError
from potstill.index.overlap import (
    Ngram,
    Overlap,
    OverlapSettings,
    TokenSpan,
    documents_of,
    inner_tokens,
    measure,
    ngram_of,
)
from potstill.index.results import Passage
from potstill.index.words import Aligned
from potstill.progress import Progress, Silent
from potstill.records.read import place_of, read_numbered

if TYPE_CHECKING:
    from potstill.index.reader import Index

_BATCH_RECORDS = 1024
_NAMED = 3


@dataclass(frozen=True)
class GateSettings:
    """overlap        which n-grams are looked for
    threshold        a record that shares so much of its tokens is contaminated, in [0, 1]; 0: any n-gram is
    longest_words    so is one that has a match of so many whole words, >= 1
    """

    overlap: OverlapSettings = field(default_factory=OverlapSettings)
    threshold: float = 0.5
    longest_words: int = 50

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold is {self.threshold}; it must be in [0, 1].")
        if self.longest_words < 1:
            raise ConfigError(f"longest_words is {self.longest_words}; it must be at least 1.")

    def refuses(self, record: "RecordOverlap") -> bool:
        return record.num_shared > 0 and (
            record.share >= self.threshold or record.longest_words >= self.longest_words
        )


@dataclass(frozen=True, slots=True)
class EvalRecord:
    """A record of an evaluation file with the texts of its fields; `place` names it to people."""

    path: Path
    position: int
    place: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordOverlap:
    """What an evaluation record shares with the corpus; counts are sums over its texts."""

    record: EvalRecord
    overlaps: tuple[Overlap, ...]

    @property
    def num_tokens(self) -> int:
        return sum(each.num_tokens for each in self.overlaps)

    @property
    def num_shared(self) -> int:
        return sum(each.num_shared for each in self.overlaps)

    @property
    def share(self) -> float:
        return self.num_shared / max(self.num_tokens, 1)

    @property
    def num_ngrams(self) -> int:
        """Word n-grams the record has; 0: it is too short to be judged by them."""
        return sum(each.num_ngrams for each in self.overlaps)

    @property
    def num_matching(self) -> int:
        return sum(len(each.windows) for each in self.overlaps)

    @property
    def longest(self) -> Overlap:
        """The text with the longest match, of equals the first."""
        return max(self.overlaps, key=lambda each: each.longest.num_tokens)

    @property
    def longest_words(self) -> int:
        """Whole words of the record's longest match."""
        return max(num_whole_words(each.aligned, each.longest) for each in self.overlaps)


@dataclass(frozen=True)
class Contamination:
    """What evaluation files share with a corpus.

    records   those that share an n-gram, worst first; those without are only counted
    """

    settings: GateSettings
    num_records: int
    num_too_short: int
    records: tuple[RecordOverlap, ...]

    @property
    def contaminated(self) -> tuple[RecordOverlap, ...]:
        return tuple(record for record in self.records if self.settings.refuses(record))


def num_whole_words(text: Aligned, span: TokenSpan) -> int:
    if not span.num_tokens:
        return 0
    start, stop = text.tokens.starts[span.start], text.tokens.stops[span.stop - 1]
    return int(np.sum((text.words.starts >= start) & (text.words.stops <= stop)))


def read_eval(paths: Sequence[Path], fields: Sequence[str] = ()) -> Iterator[EvalRecord]:
    """The records of evaluation files. Without `fields` every field that holds text is compared.

    A field may hold a list of texts. UsageError where a record lacks a field or has no text at all.
    """
    for path in paths:
        for record in read_numbered(path):
            place = place_of(path, record)
            wanted = fields or record.values.keys()
            if missing := [name for name in fields if name not in record.values]:
                raise UsageError(
                    f"{place} has no field {', '.join(missing)}; it has "
                    f"{', '.join(map(str, record.values)) or 'none'}. Name others with --field."
                )
            texts = tuple(text for name in wanted for text in _texts(record.values[name]))
            if not texts:
                raise UsageError(f"{place} holds no text in {', '.join(map(str, wanted)) or 'any field'}.")
            yield EvalRecord(path, record.position, place, texts)


def contamination(
    index: "Index",
    records: Iterable[EvalRecord],
    settings: GateSettings | None = None,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Contamination:
    """Compare every record with the index."""
    chosen = settings or GateSettings()
    held = list(records)
    found: list[RecordOverlap] = []
    num_too_short = 0
    with (progress or Silent()).task("compare", len(held), "records") as task:
        for batch in _batches(held):
            for record in _measured(index, batch, chosen, threads):
                num_too_short += record.num_ngrams == 0
                if record.num_shared:
                    found.append(record)
            task.advance(len(batch))
    # A stable order: records that are equally bad keep the order of the files.
    found.sort(key=lambda record: (-record.share, -record.longest.longest.num_tokens))
    return Contamination(chosen, len(held), num_too_short, tuple(found))


def refuse(found: Contamination) -> None:
    """RefusedError, naming the worst records, when any is contaminated."""
    worst = found.contaminated
    if not worst:
        return
    named = "; ".join(
        f"{record.record.place} ({record.share:.0%} shared, longest match {record.longest_words} words)"
        for record in worst[:_NAMED]
    )
    raise RefusedError(
        f"{len(worst):,} of {found.num_records:,} evaluation records stand in the corpus: {named}"
        f"{'; ...' if len(worst) > _NAMED else ''}. Write a corpus without the documents that hold them with "
        f"--out, or leave these records out of the evaluation."
    )


def holding_documents(index: "Index", found: Contamination) -> tuple[int, ...]:
    """Numbers of the documents that hold a matching n-gram of a contaminated record, ascending.

    Without them no n-gram of these records matches any more.
    """
    return tuple(sorted(documents_of(index, _ngrams(index, found))))


def example(index: "Index", overlap: Overlap, context_tokens: int = 0) -> Passage | None:
    """One place where the text's longest match stands."""
    span = overlap.longest
    ids = overlap.aligned.ids[span.start : span.stop]
    for place in islice(index.find(ids) if span.num_tokens else (), 1):
        return index.occurrence(*place, span.num_tokens, context_tokens=context_tokens)
    return None


def _ngrams(index: "Index", found: Contamination) -> Iterator[Ngram]:
    """Matching n-grams of contaminated records."""
    is_tokenized = index.vocabulary.kind == "tokenizer"
    for overlap in (each for record in found.contaminated for each in record.overlaps):
        yield from _word_ngrams(overlap, is_tokenized)
        tokens = overlap.aligned.tokens
        for start in overlap.token_ngrams.tolist():
            span = TokenSpan(start, start + found.settings.overlap.ngram)
            content = (int(tokens.starts[span.start]), int(tokens.stops[span.stop - 1]))
            yield ngram_of(overlap.aligned, span, content)


def _word_ngrams(overlap: Overlap, is_tokenized: bool) -> Iterator[Ngram]:
    text, windows, n = overlap.aligned, overlap.windows, overlap.n
    starts, stops = text.words.starts[windows], text.words.stops[windows + n - 1]
    whole = text.tokens_over(starts, stops)
    inner = inner_tokens(text, windows, n) if is_tokenized else whole
    for number, content in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        # Where no token lies wholly inside, only the tokens of the whole n-gram can have matched.
        tokens = inner if inner.starts[number] < inner.stops[number] else whole
        span = TokenSpan(int(tokens.starts[number]), int(tokens.stops[number]))
        yield ngram_of(text, span, content)


def _measured(
    index: "Index", batch: Sequence[EvalRecord], settings: GateSettings, threads: int
) -> Iterator[RecordOverlap]:
    texts = [text for record in batch for text in record.texts]
    overlaps = iter(measure(index, texts, settings.overlap, threads=threads))
    for record in batch:
        yield RecordOverlap(record, tuple(islice(overlaps, len(record.texts))))


def _batches(records: Sequence[EvalRecord]) -> Iterator[Sequence[EvalRecord]]:
    for first in range(0, len(records), _BATCH_RECORDS):
        yield records[first : first + _BATCH_RECORDS]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
