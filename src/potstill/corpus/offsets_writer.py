"""Writing offsets.bin while the stream grows; docs/formats/corpus.md tells its bytes."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from potstill.corpus.byte_offsets import BLOCK_SYMBOLS, LISTED, Signed
from potstill.corpus.encoding import EncodedBatch
from potstill.corpus.manifest import OFFSETS
from potstill.corpus.varints import encode_varints, num_varint_bytes, zigzag

_STARTS, _RUNS, _SPAN_STARTS, _SPANS = "starts", "runs", "span-starts", "spans"


def new_file(stack: ExitStack, path: Path) -> BinaryIO:
    """An empty file at `path` that is closed with `stack`."""
    return stack.enter_context(open(path, "wb"))


class OffsetsWriter:
    """The four parts grow in files of their own beside the target, which `finish` joins and removes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        names = (_STARTS, _RUNS, _SPAN_STARTS, _SPANS)
        self._parts = {name: new_file(self._stack, self._path(name)) for name in names}
        self._last_kind = -1
        self._num_symbols = 0
        self._span_bytes = 0

    def append(self, batch: EncodedBatch) -> None:
        assert batch.before is not None and batch.kinds is not None
        on_grid = slice(-self._num_symbols % BLOCK_SYMBOLS, None, BLOCK_SYMBOLS)
        self._write(_STARTS, batch.before[on_grid])
        self._write_runs(batch)
        self._write(_SPAN_STARTS, self._write_spans(batch)[on_grid])
        self._num_symbols += len(batch.symbols)

    def finish(self) -> None:
        """Write offsets.bin; what was appended must be whole documents."""
        self._stack.close()
        num_blocks = -(-self._num_symbols // BLOCK_SYMBOLS)
        num_runs = self._path(_RUNS).stat().st_size // 8
        with open(self._folder / OFFSETS, "wb") as file:
            file.write(np.array([num_blocks, num_runs, self._span_bytes], "<u8").tobytes())
            for name in (_STARTS, _RUNS, _SPAN_STARTS, _SPANS) if self._span_bytes else (_STARTS, _RUNS):
                with open(self._path(name), "rb") as part:
                    shutil.copyfileobj(part, file, 1 << 20)
        for name in self._parts:
            self._path(name).unlink()

    def close(self) -> None:
        self._stack.close()

    def _write_runs(self, batch: EncodedBatch) -> None:
        """A run begins at a token, so that documents without any leave no trace."""
        assert batch.kinds is not None
        places = np.flatnonzero(batch.symbols)
        if not len(places):
            return
        kinds = batch.kinds[places].astype(np.int64)
        changes = np.flatnonzero(np.diff(kinds, prepend=self._last_kind))
        self._write(_RUNS, ((self._num_symbols + places[changes]) << 2) | kinds[changes])
        self._last_kind = int(kinds[-1])

    def _write_spans(self, batch: EncodedBatch) -> Signed:
        """For each symbol, how many bytes of spans stand before it."""
        if batch.gaps is None or batch.lengths is None or not len(batch.gaps):
            return np.full(len(batch.symbols), self._span_bytes)
        pairs = np.stack([zigzag(batch.gaps), batch.lengths], axis=1).reshape(-1)
        self._parts[_SPANS].write(encode_varints(pairs).tobytes())
        assert batch.kinds is not None
        sizes = np.zeros(len(batch.symbols), np.int64)
        sizes[(batch.kinds == LISTED) & (batch.symbols != 0)] = (
            num_varint_bytes(pairs).reshape(-1, 2).sum(axis=1)
        )
        before = self._span_bytes + np.cumsum(sizes) - sizes
        self._span_bytes += int(sizes.sum())
        return before

    def _write(self, name: str, words: Signed) -> None:
        self._parts[name].write(words.astype("<u8").tobytes())

    def _path(self, name: str) -> Path:
        return self._folder / f".offsets-{name}"
