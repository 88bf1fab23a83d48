"""The native core's sorting and merging, with what it takes and what it shows on the way."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill import _native
from potstill.corpus.manifest import TOKENS, StoreFacts
from potstill.errors import MissingError
from potstill.files import sync_folder
from potstill.index.native_work import run_native
from potstill.index.parts import Part, plan_parts
from potstill.progress import Progress

# What Python, its libraries and the buffers of a merge take beside the symbols and their order.
_RESERVED_BYTES = 128 << 20
# Work units a symbol, as the native core documents them.
_BUILD_UNITS, _PART_UNITS = 4, 3


@dataclass(frozen=True)
class SortSettings:
    """memory_bytes  that the process may hold
    with_tables   write the tables of one and two tokens too
    num_threads   of the sort and the merge
    """

    memory_bytes: int
    with_tables: bool = True
    num_threads: int = 1

    @property
    def sort_bytes(self) -> int:
        """Of the memory, what sorting may hold."""
        return self.memory_bytes - min(_RESERVED_BYTES, self.memory_bytes // 2)


def most_symbols(facts: StoreFacts, settings: SortSettings) -> int:
    """How many symbols can be sorted at once within the memory."""
    low, high = 0, min(facts.num_symbols, _native.MAX_PART_SYMBOLS)
    while low < high:
        middle = (low + high + 1) // 2
        fits = _part_bytes(facts, middle) <= settings.sort_bytes
        low, high = (middle, high) if fits else (low, middle - 1)
    if not low and facts.num_symbols:
        raise _too_little(_part_bytes(facts, 1))
    return low


def sort_at_once(folder: Path, facts: StoreFacts, settings: SortSettings, progress: Progress) -> int | None:
    """Write the suffix files of `folder`/tokens.bin beside it; the number of bigrams, None without tables."""
    num_bigrams = run_native(
        lambda work: _native.build_suffixes(
            folder,
            **_stream(facts),
            num_documents=facts.num_documents,
            with_tables=settings.with_tables,
            threads=settings.num_threads,
            work=work,
        ),
        progress,
        "sort",
        facts.num_symbols,
        units=_BUILD_UNITS,
    )
    return num_bigrams if settings.with_tables else None


def sort_parts(
    tokens: Path, parts: Mapping[Part, Path], facts: StoreFacts, settings: SortSettings, progress: Progress
) -> None:
    """Write the order of each part to its file, which gets its name when it is whole.

    As many at once as there are threads, where `plan` made them small enough. MissingError where a long
    document takes more memory than there is.
    """
    most = most_symbols(facts, settings)

    def sort(part: Part, out: Path, work: _native.Work) -> None:
        with _partial(out) as partial:
            _native.sort_part(
                tokens,
                **_stream(facts),
                first=part.first,
                stop=part.stop,
                out=partial,
                work=work,
                most_symbols=most,
            )

    def sort_all(work: _native.Work) -> None:
        at_once = 1 if any(part.ends_inside for part in parts) else settings.num_threads
        with ThreadPoolExecutor(at_once) as pool:
            calls = [pool.submit(sort, part, out, work) for part, out in parts.items()]
            try:
                for call in calls:
                    call.result()
            except BaseException:
                # The others would only be thrown away after they had taken their time.
                work.cancel()
                raise

    total = sum(part.stop - part.first for part in parts)
    try:
        run_native(sort_all, progress, "sort", total, units=_PART_UNITS)
    except MemoryError as error:
        raise MissingError(f"A long document takes more memory ({error}). Give more: --memory.") from None


def plan(first_symbols: NDArray[np.int64], facts: StoreFacts, settings: SortSettings) -> list[Part]:
    """Parts that fit the memory, one for each thread at once where documents are short enough."""
    most = most_symbols(facts, settings)
    if most >= facts.num_symbols:
        return [Part(0, facts.num_symbols, False)]
    parts = plan_parts(first_symbols, max(most // settings.num_threads, 1))
    return plan_parts(first_symbols, most) if any(part.ends_inside for part in parts) else parts


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A file that becomes `path` when the block ends well, and is removed otherwise."""
    partial = path.with_name(f".tmp-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def merge_lists(
    folder: Path,
    lists: Sequence[_native.SuffixList],
    facts: StoreFacts,
    settings: SortSettings,
    progress: Progress,
) -> int | None:
    """Write the suffix files of `folder`/tokens.bin from sorted lists of its suffixes; as `sort_at_once`."""
    num_bigrams = run_native(
        lambda work: _native.merge_parts(
            folder / TOKENS,
            **_stream(facts),
            num_documents=facts.num_documents,
            parts=list(lists),
            folder=folder,
            with_tables=settings.with_tables,
            threads=settings.num_threads,
            work=work,
            memory_bytes=settings.sort_bytes,
        ),
        progress,
        "merge",
        facts.num_symbols,
    )
    return num_bigrams if settings.with_tables else None


def _stream(facts: StoreFacts) -> dict[str, Any]:
    return {
        "symbol_bytes": facts.symbol_bytes,
        "num_symbols": facts.num_symbols,
        "vocab_size": facts.vocabulary.vocab_size,
    }


def _part_bytes(facts: StoreFacts, num_symbols: int) -> int:
    return _native.part_bytes(num_symbols, facts.symbol_bytes, facts.vocabulary.vocab_size)


def _too_little(needed: int) -> MissingError:
    return MissingError(
        f"Sorting takes at least {needed + _RESERVED_BYTES:,} bytes of memory. Give more: --memory."
    )
