"""Writing the files of a store while documents come in; nothing is held but what is being written."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from potstill.corpus.checksums import write_checksums
from potstill.corpus.encoding import EncodedBatch
from potstill.corpus.manifest import (
    DOCUMENT_ROW,
    DOCUMENTS,
    OFFSETS,
    PADDING_BYTES,
    SOURCES,
    TOKENS,
    StoreFacts,
)
from potstill.corpus.offsets_writer import OffsetsWriter, new_file
from potstill.corpus.store import Source
from potstill.corpus.symbols import bytes_for, read_symbols, symbol_bytes
from potstill.corpus.vocabulary import VocabularyFacts
from potstill.errors import DiskFull, UsageError
from potstill.files import is_disk_full, sync_file, sync_folder

Rows = npt.NDArray[np.void]
_CHUNK_SYMBOLS = 1 << 20
_NARROW = ".narrow-tokens"
_MAX_NUMBER = (1 << 32) - 1


class StoreWriter:
    """Appends to the store in `folder`, an empty folder; `finish` makes it whole and says what it holds."""

    def __init__(self, folder: Path, vocabulary: VocabularyFacts) -> None:
        self.folder, self._vocabulary = folder, vocabulary
        # A byte of 0xFF has the symbol 256; until one comes, a byte is enough.
        self._width = 1 if vocabulary.kind == "bytes" else bytes_for(vocabulary.vocab_size)
        self._stack = ExitStack()
        self._tokens, self._documents, self._sources = (
            new_file(self._stack, folder / name) for name in (TOKENS, DOCUMENTS, SOURCES)
        )
        self._offsets = OffsetsWriter(folder) if vocabulary.kind == "tokenizer" else None
        self._num_symbols = self._num_documents = self._num_sources = 0
        self._num_bytes = 0
        # How much of all that will be appended has been; for the estimate when the disk is full.
        self.share_done = 0.0

    def add_source(self, source: Source) -> int:
        """Its number; documents name their source by it."""
        line = {**source._asdict(), "path": str(source.path)}
        self._sources.write(json.dumps(line).encode() + b"\n")
        self._num_sources += 1
        if self._num_sources > _MAX_NUMBER:
            raise UsageError("A store holds less than 2**32 sources. Divide the corpus.")
        return self._num_sources - 1

    def append(self, batch: EncodedBatch, rows: Rows) -> None:
        """Symbols that go on from those before, and the rows of the documents that begin among them.

        rows: DOCUMENT_ROW, with first_symbol counted from the batch's first symbol.
        """
        symbols = batch.symbols
        if self._width < 4 and len(symbols) and int(symbols.max()) >= 1 << 8 * self._width:
            self._widen()
        self._tokens.write(symbol_bytes(symbols, self._width))
        if self._offsets:
            self._offsets.append(batch)
        rows["first_symbol"] += self._num_symbols
        self._documents.write(rows.tobytes())
        self._num_bytes += _num_bytes(batch)
        self._num_symbols += len(symbols)
        self._num_documents += len(rows)

    @property
    def num_bytes(self) -> int:
        """About what was written so far, also of a store whose files are closed."""
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())

    def finish(self) -> StoreFacts:
        self._tokens.write(bytes(PADDING_BYTES))
        last = np.zeros(1, DOCUMENT_ROW)
        last["first_symbol"] = self._num_symbols
        self._documents.write(last.tobytes())
        if self._offsets:
            self._offsets.finish()
        self._stack.close()
        names = [TOKENS, DOCUMENTS, SOURCES, *([OFFSETS] if self._offsets else [])]
        for name in names:
            sync_file(self.folder / name)
        checked = write_checksums(self.folder, names)
        sync_folder(self.folder)
        return StoreFacts(
            num_documents=self._num_documents,
            num_tokens=self._num_symbols - self._num_documents,
            num_symbols=self._num_symbols,
            symbol_bytes=self._width,
            vocabulary=self._vocabulary,
            files=checked.files,
            checksums_crc32c=checked.crc32c,
            num_bytes=self._num_bytes,
        )

    def close(self) -> None:
        """Let go of the files, also of a store that is not finished."""
        for part in (self._stack, self._offsets):
            # On a full disk what is left in the buffers cannot be written either.
            with suppress(OSError):
                if part:
                    part.close()

    def _widen(self) -> None:
        """Write what there is once more, in two bytes a symbol."""
        narrow = self.folder / TOKENS
        self._tokens.close()
        os.replace(narrow, self.folder / _NARROW)
        self._tokens = new_file(self._stack, narrow)
        with open(self.folder / _NARROW, "rb") as source:
            while chunk := source.read(_CHUNK_SYMBOLS):
                self._tokens.write(symbol_bytes(read_symbols(np.frombuffer(chunk, np.uint8), 1), 2))
        (self.folder / _NARROW).unlink()
        self._width = 2


def _num_bytes(batch: EncodedBatch) -> int:
    """Of the documents that end in the batch; where every token is a byte, of those that stand in it."""
    if batch.before is None:
        return int(np.count_nonzero(batch.symbols))
    return int(batch.before[batch.symbols == 0].sum())


@contextmanager
def room_for(writer: StoreWriter) -> Iterator[None]:
    """DiskFull with an estimate of what is missing, where the block ends for want of room."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        written = writer.num_bytes
        missing = max(int(written / max(writer.share_done, 0.01)) - written, 1 << 20)
        raise DiskFull(
            f"No room left in {writer.folder.parent}: about {missing:,} bytes more are needed. "
            f"Free some space and run the same command again."
        ) from error
