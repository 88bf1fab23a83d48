"""A generation is opened whole or refused by name, whatever a writer does meanwhile."""

import gc
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from index.small_texts import small_text, write_texts
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, LockedError, MissingError, PotstillError
from potstill.index import open as opening
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add, delete
from potstill.index.manifest import read_manifest
from potstill.index.merge import merge_index
from potstill.index.open import open_generation
from potstill.index.reader import Index
from potstill.locks import locked

BYTES = ByteVocabulary()
SETTINGS = BuildSettings(64 << 20)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Two segments: `one two` and `two three`."""
    first, second = write_texts(tmp_path / "texts", [b"one two", b"two three"])
    build_index([first], tmp_path / "index", BYTES, SETTINGS)
    add(tmp_path / "index", [second], SETTINGS)
    return tmp_path / "index"


def segment_folders(index: Path) -> list[Path]:
    return [index / "segments" / entry.name for entry in read_manifest(index).segments]


@pytest.mark.parametrize("damage", ["gone", "header gone", "header altered", "file gone", "file short"])
def test_a_segment_that_is_gone_or_damaged_is_refused_by_name_and_left_out_when_asked(
    index: Path, damage: str
) -> None:
    folder = segment_folders(index)[1]
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "header gone":
        (folder / "segment.json").unlink()
    elif damage == "header altered":
        (folder / "segment.json").write_text("{}")
    elif damage == "file gone":
        (folder / "suffixes.bin").unlink()
    else:
        (folder / "suffixes.bin").write_bytes(b"x")
    with pytest.raises(PotstillError, match=folder.name) as caught:
        open_generation(index)
    assert caught.value.exit_code in (4, 5)
    opened = open_generation(index, degraded=True)
    assert opened.left_out == (folder.name,)
    with Index(opened) as partial:
        assert partial.left_out == (folder.name,)
        assert (partial.count(b"one"), partial.count(b"two"), partial.num_documents) == (1, 1, 1)


def test_another_segment_under_the_name_is_refused(index: Path) -> None:
    first, second = segment_folders(index)
    shutil.rmtree(second)
    shutil.copytree(first, second)
    with pytest.raises(DamagedError, match="not the header that the manifest names"):
        open_generation(index)


def test_a_newer_segment_is_refused_and_says_so(index: Path) -> None:
    path = segment_folders(index)[0] / "segment.json"
    path.write_text(path.read_text().replace("potstill.segment/1", "potstill.segment/2"))
    with pytest.raises(DamagedError, match="newer potstill"):
        open_generation(index)


def test_nothing_is_answered_without_the_vocabulary(index: Path) -> None:
    shutil.rmtree(index / "vocabulary")
    for degraded in (False, True):
        with pytest.raises(MissingError):
            open_generation(index, degraded=degraded)


def test_a_reader_that_comes_during_a_swap_takes_the_newer_generation(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, manifests = opening.read_manifest, []

    def swapped_after_reading(path: Path) -> object:
        manifest = read(path)
        if not manifests:
            manifests.append(manifest)
            merge_index(index, SETTINGS.sort)
        return manifest

    monkeypatch.setattr(opening, "read_manifest", swapped_after_reading)
    opened = open_generation(index)
    assert opened.manifest.generation == 3 and not opened.left_out
    monkeypatch.undo()
    with Index.open(index) as merged:
        assert merged.count(b"two") == 2


def test_an_open_index_answers_from_its_generation(index: Path) -> None:
    with Index.open(index) as before:
        delete(index, documents=[0], memory_bytes=SETTINGS.memory_bytes)
        merge_index(index, SETTINGS.sort)
        assert before.count(b"two") == 2 and before.document(0).text == "one two"
        with Index.open(index) as after:
            assert after.count(b"two") == 1
        assert not [path for path in segment_folders(index) if path.name.startswith(("000001", "000002"))]


def test_a_second_writer_is_refused_at_once_and_names_the_first(index: Path, tmp_path: Path) -> None:
    changes = (
        lambda: build_index([tmp_path / "texts"], index, BYTES, SETTINGS),
        lambda: add(index, [tmp_path / "texts"], SETTINGS),
        lambda: delete(index, documents=[0], memory_bytes=SETTINGS.memory_bytes),
        lambda: merge_index(index, SETTINGS.sort),
    )
    with locked(index):
        for change in changes:
            started = time.perf_counter()
            with pytest.raises(LockedError, match=r"process \d+"):
                change()
            assert time.perf_counter() - started < 1
    with Index.open(index) as opened:
        assert opened.count(b"two") == 2


# Every generation holds one text, and each of them in turn.
SWAP = """
import sys
from pathlib import Path
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.index.build import BuildSettings, build_index
index, swaps, *texts = sys.argv[1:]
for number in range(int(swaps)):
    text = Path(texts[number % len(texts)])
    build_index([text], Path(index), ByteVocabulary(), BuildSettings(64 << 20))
"""


ASKED = (b"the", b"a", b" ", b"0", b"1", b"2", b"ca")


def counts_in(text: bytes) -> tuple[int, ...]:
    return tuple(sum(text.startswith(query, at) for at in range(len(text))) for query in ASKED)


class Asking(threading.Thread):
    """Opens the index again and again.

    answers  the counts it found
    seconds  that each opening with its counts took
    problem  what went wrong
    """

    def __init__(self, index: Path, is_over: threading.Event) -> None:
        super().__init__()
        self.answers: set[tuple[int, ...]] = set()
        self.seconds: list[float] = []
        self.problem: BaseException | None = None
        self._index, self._is_over = index, is_over

    def run(self) -> None:
        try:
            while not self._is_over.is_set():
                started = time.perf_counter()
                with Index.open(self._index) as opened:
                    for _ in range(3):
                        self.answers.add(tuple(map(opened.count, ASKED)))
                self.seconds.append(time.perf_counter() - started)
        except BaseException as error:  # told by the test
            self.problem = error


class Waits(NamedTuple):
    """The 99th percentile of the seconds that readers take."""

    idle: float
    swapping: float


def p99(readers: list[Asking]) -> float:
    return float(np.quantile([each for reader in readers for each in reader.seconds], 0.99))


@contextmanager
def asking(index: Path, num_readers: int) -> Iterator[list[Asking]]:
    """Readers that ask as long as the block runs."""
    is_over = threading.Event()
    readers = [Asking(index, is_over) for _ in range(num_readers)]
    for reader in readers:
        reader.start()
    try:
        yield readers
    finally:
        is_over.set()
        for reader in readers:
            reader.join()


def check_readers(tmp_path: Path, num_readers: int, swaps: int) -> Waits:
    """Each answer must be that of exactly one generation, and no reader may fail."""
    chance = random.Random(4)
    contents = [small_text(chance) + b" %d" % number * (number + 1) for number in range(3)]
    wanted = set(map(counts_in, contents))
    assert len(wanted) == len(contents)
    texts, index = write_texts(tmp_path / "texts", contents), tmp_path / "index"
    build_index(texts[:1], index, BYTES, SETTINGS)
    with asking(index, num_readers) as idle:
        time.sleep(1)
    with asking(index, num_readers) as readers:
        writer = subprocess.run(
            [sys.executable, "-c", SWAP, str(index), str(swaps), *map(str, texts)], timeout=500
        )
    assert writer.returncode == 0 and not [reader.problem for reader in readers if reader.problem]
    assert all(reader.answers and reader.answers <= wanted for reader in readers)
    assert set.union(*(reader.answers for reader in readers)) == wanted
    assert read_manifest(index).generation >= swaps
    assert len(segment_folders(index)) == len(list((index / "segments").iterdir())) == 1
    gc.collect()
    mapped = Path("/proc/self/maps")
    if mapped.exists():
        assert str(index) not in mapped.read_text(), "files of a generation that nobody reads are held"
    return Waits(p99(idle), p99(readers))


@pytest.mark.slow
def test_readers_through_swaps_see_one_generation_each_time(tmp_path: Path) -> None:
    check_readers(tmp_path, num_readers=4, swaps=8)


@pytest.mark.soak
def test_sixteen_readers_through_fifty_swaps(tmp_path: Path) -> None:
    waits = check_readers(tmp_path, num_readers=16, swaps=50)
    print(f"p99 of open, count, close: {waits.idle:.3f} s idle, {waits.swapping:.3f} s while swapped")
    # The writer and the readers share the cores, so this is no measurement of a lock.
    assert waits.swapping < 10 * waits.idle
