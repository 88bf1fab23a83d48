"""Sorting and merging through the binding, beside the files written the slow, obvious way."""

import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.naive_build import naive_files, narrowest, packed_symbols, sorted_suffixes, symbols_of
from potstill import _native

FILES = ("suffixes.bin", "unigrams.bin", "bigram_rows.bin", "bigram_seconds.bin", "bigram_ranks.bin")


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A new folder: what is written is synced, and a disk takes milliseconds for that."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


class Stream:
    """A tokens.bin in a folder, and how the native calls name it."""

    def __init__(self, folder: Path, documents: list[list[int]], vocab_size: int, width: int | None = None):
        self.folder, self.vocab_size, self.num_documents = folder, vocab_size, len(documents)
        self.symbols = symbols_of(documents)
        self.width = width or narrowest(vocab_size)
        self.tokens = folder / "tokens.bin"
        self.tokens.write_bytes(packed_symbols(self.symbols, self.width))

    @property
    def shape(self) -> dict[str, int]:
        return {
            "symbol_bytes": self.width,
            "num_symbols": len(self.symbols),
            "vocab_size": self.vocab_size,
        }

    def sort(self, first: int, stop: int, *, most: int = 2**30) -> "_native.PartFile":
        out = self.folder / f"part-{first}"
        _native.sort_part(
            self.tokens, **self.shape, first=first, stop=stop, out=out, work=_native.Work(),
            most_symbols=most,
        )  # fmt: skip
        return _native.PartFile(out, first)

    def merge(self, parts: list["_native.SuffixList"], *, tables: bool = True, threads: int = 1) -> int:
        return _native.merge_parts(
            self.tokens, **self.shape, num_documents=self.num_documents, parts=parts, folder=self.folder,
            with_tables=tables, threads=threads, work=_native.Work(),
        )  # fmt: skip

    def build(self, *, tables: bool = True, threads: int = 1, work: "_native.Work | None" = None) -> int:
        return _native.build_suffixes(
            self.folder, **self.shape, num_documents=self.num_documents, with_tables=tables, threads=threads,
            work=work or _native.Work(),
        )  # fmt: skip

    def kept_suffixes(self, is_kept: list[bool], new_first: int) -> "_native.PackedFile":
        """What `build` wrote, of the documents that are kept; those stand from new_first on."""
        ends = [at + 1 for at, symbol in enumerate(self.symbols) if symbol == 0]
        runs = list[tuple[int, int, int]]()
        for (first, stop), keeps in zip(pairwise([0, *ends]), is_kept, strict=True):
            if keeps:
                runs.append((first, stop, new_first))
                new_first += stop - first
        bits = max(max(len(self.symbols) - 1, 0).bit_length(), 1)
        kept = np.array(runs, np.uint64).reshape(-1, 3)
        return _native.PackedFile(
            self.folder / "suffixes.bin", bits, int(np.count_nonzero(self.symbols)), kept
        )

    def check(self, *, tables: bool = True) -> None:
        expected = naive_files(self.symbols, self.vocab_size, self.width, tables=tables)
        for name in FILES:
            path = self.folder / name
            assert path.exists() == (name in expected), name
            assert not path.exists() or path.read_bytes() == expected[name], name


@st.composite
def collections(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    """A vocabulary, and documents that repeat themselves and each other."""
    vocab_size = draw(st.sampled_from([1, 2, 3, 20, 255, 256, 300, 70_000]))
    tokens = st.integers(0, vocab_size - 1) | st.integers(0, min(vocab_size - 1, 2))
    phrases = draw(st.lists(st.lists(tokens, min_size=1, max_size=5), min_size=1, max_size=4))
    document = st.lists(st.sampled_from(phrases), max_size=8).map(lambda parts: sum(parts, []))
    return vocab_size, draw(st.lists(document, max_size=8))


@settings(max_examples=200, deadline=None)
@given(collections(), st.booleans(), st.integers(0, 1))
def test_a_build_writes_what_a_plain_sort_writes(collection, tables, extra_width):
    vocab_size, documents = collection
    width = narrowest(vocab_size) + extra_width
    with folder_in_memory() as folder:
        stream = Stream(folder, documents, vocab_size, width)
        num_bigrams = stream.build(tables=tables)
        stream.check(tables=tables)
    assert num_bigrams == len(sorted(set(_bigrams(stream.symbols)))) * tables


def _bigrams(symbols: list[int]) -> list[tuple[int, int]]:
    return [(symbols[at], symbols[at + 1]) for at, symbol in enumerate(symbols) if symbol]


@settings(max_examples=200, deadline=None)
@given(collections(), st.data())
def test_parts_cut_anywhere_merge_to_the_same_files(collection, data):
    vocab_size, documents = collection
    with folder_in_memory() as folder:
        stream = Stream(folder, documents, vocab_size)
        end = len(stream.symbols)
        cuts = sorted({0, end, *data.draw(st.lists(st.integers(0, end), max_size=4))})
        parts = [stream.sort(*pair) for pair in pairwise(cuts)]
        assert sum(len(part) for part in parts) == np.count_nonzero(stream.symbols)
        stream.merge(parts, threads=data.draw(st.integers(1, 3)))
        stream.check()


@settings(max_examples=100, deadline=None)
@given(collections(), st.data())
def test_segments_merge_without_their_dropped_documents(collection, data):
    vocab_size, documents = collection
    kept, lists, joined = list[list[int]](), list[_native.SuffixList](), 0
    with ExitStack() as folders:
        for _ in range(data.draw(st.integers(1, 3))):
            segment = Stream(folders.enter_context(folder_in_memory()), documents, vocab_size)
            segment.build(tables=False)
            is_kept = data.draw(st.lists(st.booleans(), min_size=len(documents), max_size=len(documents)))
            lists.append(segment.kept_suffixes(is_kept, joined))
            kept += [document for document, keeps in zip(documents, is_kept, strict=True) if keeps]
            joined = len(symbols_of(kept))
        stream = Stream(folders.enter_context(folder_in_memory()), kept, vocab_size)
        stream.merge(lists, threads=data.draw(st.integers(1, 2)))
        stream.check()


def test_a_part_that_ends_inside_a_repeat_takes_what_it_needs_or_says_so(tmp_path):
    repeats = [0, 1] * 40
    stream = Stream(tmp_path, [[2, *repeats, 3, *repeats, 2]], 4)
    part = stream.sort(0, 60)
    stop_at = sorted_suffixes(stream.symbols)
    found = np.fromfile(tmp_path / "part-0", np.uint32).tolist()
    assert found == [at for at in stop_at if at < 60] and len(part) == 60
    with pytest.raises(MemoryError, match=r"takes at least \d+ bytes"):
        stream.sort(0, 60, most=61)


def test_wrong_numbers_and_wrong_files_are_told_apart(tmp_path):
    stream = Stream(tmp_path, [[1, 2], [0]], 3)
    stream.vocab_size = 2
    with pytest.raises(_native.DamagedFileError, match=r"tokens\.bin, byte 1: symbol 3 is above"):
        stream.build()
    stream.vocab_size, stream.num_documents = 3, 4
    with pytest.raises(_native.DamagedFileError, match="holds 2 document ends"):
        stream.build()
    stream.num_documents = 2
    stream.width = 7
    with pytest.raises(ValueError, match="symbol_bytes"):
        stream.build()
    stream.width = 1
    with pytest.raises(ValueError, match="inside the stream"):
        stream.sort(3, 6)
    os.truncate(stream.tokens, 12)
    with pytest.raises(_native.DamagedFileError, match="byte 12: the file ends here"):
        stream.build()
    stream.tokens.write_bytes(bytes([1, 2, 0, 1, 1] + [0] * 8))
    with pytest.raises(_native.DamagedFileError, match=r"byte 4: the last symbol is no document's end"):
        stream.build()


def test_parts_that_miss_or_repeat_a_suffix_are_refused(tmp_path):
    stream = Stream(tmp_path, [[0, 1], [2, 0]], 3)
    part = stream.sort(0, 6)
    for parts in ([], [part, part], [stream.sort(3, 6)]):
        with pytest.raises(_native.DamagedFileError, match="every suffix of the stream once"):
            stream.merge(parts)
    (tmp_path / "part-0").write_bytes(b"12345")
    with pytest.raises(_native.DamagedFileError, match="inside an entry"):
        _native.PartFile(tmp_path / "part-0", 0)
    with pytest.raises(FileNotFoundError):
        _native.PartFile(tmp_path / "none", 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_full_disk_is_told_by_its_number(tmp_path):
    stream = Stream(tmp_path, [[0, 1], [2, 0]], 3)
    (tmp_path / "part-0").symlink_to("/dev/full")
    with pytest.raises(OSError) as refused:
        stream.sort(0, 6)
    assert refused.value.errno == errno.ENOSPC
    assert refused.value.filename == str(tmp_path / "part-0")


def test_paths_need_not_be_utf_8(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff\xfe")
    folder.mkdir()
    stream = Stream(folder, [[0, 1], [1]], 2)
    stream.build()
    stream.check()
    stream.num_documents = 5
    with pytest.raises(_native.DamagedFileError) as refused:
        stream.build()
    assert str(folder) in str(refused.value)


def test_a_cancelled_build_ends_and_says_so(tmp_path):
    generator = np.random.default_rng(1)
    documents = [generator.integers(0, 200, 3_000_000).tolist()]
    stream, work, errors = Stream.__new__(Stream), _native.Work(), list[Exception]()
    stream.folder, stream.vocab_size, stream.num_documents, stream.width = tmp_path, 200, 1, 1
    stream.symbols, stream.tokens = symbols_of(documents), tmp_path / "tokens.bin"
    np.append(np.array(stream.symbols, np.uint8), np.zeros(8, np.uint8)).tofile(stream.tokens)

    def run() -> None:
        try:
            stream.build(work=work)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while work.done == 0 and thread.is_alive():
        pass
    work.cancel()
    thread.join()
    assert [type(error) for error in errors] == [_native.CancelledError]


def test_work_counts_what_was_promised(tmp_path):
    stream, work = Stream(tmp_path, [[0, 1, 0], [], [2]], 3), _native.Work()
    stream.build(work=work)
    assert work.done == 4 * len(stream.symbols)


def test_the_memory_a_part_takes_is_known_before():
    assert _native.part_bytes(10**9, 2, 32_000) < 12e9
    assert _native.part_bytes(2 * 10**6, 1, 256) < _native.part_bytes(2 * 10**6, 2, 256)
