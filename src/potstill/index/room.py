"""What an index takes on the disk and in time, told before it is begun."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from potstill.corpus.manifest import CORPUS_FILE, StoreFacts, read_corpus_facts
from potstill.corpus.source_files import find_source_files
from potstill.corpus.symbols import bytes_for
from potstill.corpus.vocabulary import Vocabulary
from potstill.errors import DiskFull
from potstill.files import is_disk_full
from potstill.index.segment_files import position_bits

# A tokenizer's tokens are about four bytes of text, seldom more than six.
_MOST_TOKEN_BYTES, _USUAL_TOKEN_BYTES = 6, 4
# Symbols a second on one core, as measured on ordinary machines; a busy one may take twice as long.
_SORT_RATE, _BYTES_RATE, _TOKENIZE_RATE = 5e6, 60e6, 0.6e6


class Expected(NamedTuple):
    """least_bytes on the disk, without tables and offsets; seconds, about."""

    least_bytes: int
    seconds: float


def expect_build(sources: Sequence[Path], vocabulary: Vocabulary, num_workers: int) -> Expected:
    """What indexing `sources` takes, from their sizes alone; packed files take more."""
    corpus = next((path for path in sources if (path / CORPUS_FILE).is_file()), None)
    if corpus is not None:
        facts = read_corpus_facts(corpus)
        return Expected(order_bytes(facts), facts.num_symbols / _SORT_RATE)
    text_bytes = sum(file.size for file in find_source_files(sources).files)
    is_bytes = vocabulary.kind == "bytes"
    least = text_bytes // (1 if is_bytes else _MOST_TOKEN_BYTES)
    width = 1 if is_bytes else bytes_for(vocabulary.vocab_size)
    usual = text_bytes / (1 if is_bytes else _USUAL_TOKEN_BYTES)
    reading = text_bytes / _BYTES_RATE if is_bytes else usual / (_TOKENIZE_RATE * num_workers)
    return Expected(least * width + least * position_bits(least) // 8, reading + usual / _SORT_RATE)


def order_bytes(facts: StoreFacts, part_symbols: int = 0) -> int:
    """Bytes that the order of a store takes for certain, and parts of so many symbols; tables come on top."""
    return 4 * part_symbols + facts.num_tokens * position_bits(facts.num_symbols) // 8


def refuse_without_room(folder: Path, needed: int, what: str) -> None:
    """DiskFull where less than `needed` bytes are free on the disk of `folder`."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"{what} takes at least {needed:,} bytes and {free:,} are free on the disk of {folder}. "
            f"Free {needed - free:,} bytes and run the same command again."
        )


@contextmanager
def room_for_order(folder: Path, facts: StoreFacts, part_symbols: int = 0) -> Iterator[None]:
    """DiskFull, with the bytes needed, where the block would run out of room or does."""
    needed = order_bytes(facts, part_symbols)
    refuse_without_room(folder, needed, "The order of the suffixes")
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        most = needed + facts.num_tokens * (facts.symbol_bytes + 4)
        raise DiskFull(
            f"No room left in {folder}: the order of the suffixes takes {needed:,} bytes, with tables up to "
            f"{most:,}. Free some space and run the same command again; what was finished is kept."
        ) from error
