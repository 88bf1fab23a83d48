"""Kills at every point that touches the disk, and at random: the old index or the new one, counted right."""

import errno
import random
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from index import write_driver
from index.small_texts import contents, small_text, write_texts
from index.write_driver import Change, Fault, forked, killed_after
from potstill.errors import MissingError
from potstill.index.reader import Index

CHANGES = ("build", "parts", "replace", "add", "delete", "merge")
FRESH = ("build", "parts")
NUM_QUERIES = 1000
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


@dataclass(frozen=True)
class World:
    """texts and more  source folders
    before             the index that each change begins with, None where it begins with none
    live               the live documents before and after
    after              the files after an undisturbed change; how many points that has, and how long it takes
    """

    changes: dict[str, Change]
    before: dict[str, Path | None]
    live: dict[str, tuple[list[bytes], list[bytes]]]
    after: dict[str, dict[str, bytes]]
    num_points: dict[str, int]
    seconds: dict[str, float]

    def start(self, name: str, index: Path) -> Path:
        """The index as it is before the change, or nothing."""
        if before := self.before[name]:
            shutil.copytree(before, index)
        return index


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home, chance = tmp_path_factory.mktemp("crashes"), random.Random(5)
    texts, more = ([small_text(chance) for _ in range(count)] for count in (12, 5))
    write_texts(home / "texts", texts)
    write_texts(home / "more", more)
    changes = dict(write_driver.changes(home / "texts", home / "more"))
    built, deleted = home / "built", home / "deleted"
    assert forked(partial(changes["build"], built))[0] == 0
    shutil.copytree(built, deleted)
    for name in ("add", "delete"):
        assert forked(partial(changes[name], deleted))[0] == 0
    without = [text for number, text in enumerate(texts) if number not in (1, 2)]
    live = {
        "build": ([], texts),
        "parts": ([], texts),
        "replace": (texts, more),
        "add": (texts, texts + more),
        "delete": (texts, without),
        "merge": (without + more, without + more),
    }
    before = {name: None if name in FRESH else deleted if name == "merge" else built for name in CHANGES}
    after, points, seconds = {}, {}, {}
    for name in CHANGES:
        index = home / f"after-{name}"
        if source := before[name]:
            shutil.copytree(source, index)
        started = time.perf_counter()
        code, points[name] = forked(partial(changes[name], index), Fault())
        seconds[name] = time.perf_counter() - started
        assert code == 0, name
        after[name] = contents(index)
    return World(changes, before, live, after, points, seconds)


def count_in(documents: list[bytes], query: bytes) -> int:
    """Occurrences of a substring, overlapping ones too."""
    return sum(text.startswith(query, at) for text in documents for at in range(len(text) - len(query) + 1))


def queries(documents: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """Substrings that occur, and some that do not."""
    filled = [text for text in documents if text]
    for _ in range(NUM_QUERIES):
        text = chance.choice(filled)
        start = chance.randrange(len(text))
        query = text[start : start + chance.randrange(1, 12)]
        yield query if chance.random() < 0.8 else query[::-1] + b"?"


_COUNTS: dict[tuple[str, int], list[int]] = {}


def check_reopened(world: World, name: str, index: Path) -> None:
    """The index before the change or the one after it, with the counts of a scan."""
    try:
        opened = Index.open(index)
    except MissingError:
        assert name in FRESH, "an index that was whole is gone"
        return
    with opened:
        begun_with = 0 if name in FRESH else 3 if name == "merge" else 1
        is_after = opened.generation > begun_with
        documents = world.live[name][is_after]
        asked = list(queries(documents, random.Random(7)))
        key = (name, is_after)
        if key not in _COUNTS:
            _COUNTS[key] = [count_in(documents, query) for query in asked]
        batch = opened.ragged(asked)
        assert opened.count_batch(*batch).tolist() == _COUNTS[key]
        assert opened.num_documents == len(documents)


def is_over(world: World, name: str, index: Path) -> bool:
    """Whether the kill came when the change was made and everything was tidy again."""
    return not (index / ".building").exists() and contents(index) == world.after[name]


def check_finished(world: World, name: str, index: Path) -> None:
    """The same command again ends in the bytes of an undisturbed one."""
    if not is_over(world, name, index):
        assert forked(partial(world.changes[name], index))[0] == 0, name
    assert contents(index) == world.after[name], name
    assert not list(index.rglob(".tmp-*")) and not (index / ".building").exists()
    check_reopened(world, name, index)


def check_kill_at(world: World, name: str, point: int, index: Path) -> None:
    world.start(name, index)
    code, _ = forked(partial(world.changes[name], index), Fault(kill_at=point))
    assert code == -signal.SIGKILL, (name, point)
    check_reopened(world, name, index)
    check_finished(world, name, index)
    shutil.rmtree(index)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_kill_at_points_that_touch_the_disk_leaves_the_old_index_or_the_new_one(
    world: World, name: str, tmp_path: Path
) -> None:
    assert world.num_points[name] > 30
    # Those around the commit, and a share of the others.
    last = range(world.num_points[name] - 8, world.num_points[name])
    for point in sorted({*range(0, world.num_points[name], 17), *last}):
        check_kill_at(world, name, point, tmp_path / "index")


@pytest.mark.soak
@pytest.mark.parametrize("name", CHANGES)
def test_a_kill_at_every_point_leaves_the_old_index_or_the_new_one(
    world: World, name: str, tmp_path: Path
) -> None:
    for point in range(world.num_points[name]):
        check_kill_at(world, name, point, tmp_path / "index")


def check_random_kills(world: World, number: int, tmp_path: Path) -> None:
    chance = random.Random(number)
    for attempt in range(number):
        name = CHANGES[attempt % len(CHANGES)]
        index = world.start(name, tmp_path / "index")
        for _ in range(chance.randrange(1, 4)):
            if is_over(world, name, index):
                break
            killed_after(partial(world.changes[name], index), chance.uniform(0, world.seconds[name]))
            check_reopened(world, name, index)
        check_finished(world, name, index)
        shutil.rmtree(index)


@pytest.mark.slow
def test_kills_at_random_times_leave_the_old_index_or_the_new_one(world: World, tmp_path: Path) -> None:
    check_random_kills(world, 25, tmp_path)


@pytest.mark.soak
def test_five_hundred_kills_at_random_times(world: World, tmp_path: Path) -> None:
    check_random_kills(world, 500, tmp_path)


def check_failures(world: World, name: str, points: Iterable[int], number: int, tmp_path: Path) -> int:
    """How many of the points ended the change with 4; the others did not touch what it needs."""
    num_told = 0
    for point in points:
        index = world.start(name, tmp_path / "index")
        code, _ = forked(partial(world.changes[name], index), Fault(fail_at=point, number=number))
        assert code in (0, 4), (name, point, number)
        num_told += code == 4
        if index.exists():
            assert not list(index.rglob(".tmp-*")), (name, point, number)
            check_reopened(world, name, index)
        check_finished(world, name, index)
        shutil.rmtree(index)
    return num_told


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_disk_that_is_full_or_fails_ends_a_change_with_4_and_the_same_command_completes(
    world: World, name: str, tmp_path: Path
) -> None:
    for first, number in enumerate(ERRORS):
        points = range(9 * first, world.num_points[name], 9 * len(ERRORS))
        assert check_failures(world, name, points, number, tmp_path) > 0


@pytest.mark.soak
@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("name", CHANGES)
def test_a_disk_that_is_full_or_fails_at_every_point(
    world: World, name: str, number: int, tmp_path: Path
) -> None:
    assert check_failures(world, name, range(world.num_points[name]), number, tmp_path) > 20
