"""A power cut at any moment: what was not synced is gone, and the index is the old one or the new one."""

import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from index import write_driver
from index.small_texts import contents, small_text, write_texts
from potstill.errors import MissingError
from potstill.index.reader import Index

QUERIES = [b"the", b"a", b" ", b"cat", b"mat and", b"\xff", b"the cat sat"]
CALLS = ("fsync", "replace", "rename", "rmdir")
Counts = tuple[int, ...]


class Disk:
    """What a disk holds for certain: of a file what it held when it was synced, of a folder its names then.

    `on_change` is called after each call that syncs or changes names.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, int]] = {}
        self._held: list[int] = []
        self._on_change = on_change

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in CALLS:
            call = self._sync if name == "fsync" else getattr(os, name)
            monkeypatch.setattr(os, name, partial(self._seen, call))

    def hold(self, folder: Path) -> None:
        """Take everything below `folder` as synced."""
        for path in (folder, *folder.rglob("*")):
            descriptor = os.open(path, os.O_RDONLY)
            self._sync(descriptor)
            os.close(descriptor)

    def has_synced(self, folder: Path) -> bool:
        return folder.stat().st_ino in self._folders

    def close(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)

    def write(self, folder: Path, target: Path, depth: int) -> None:
        """`folder` after the power cut; down to `depth` names outlived it that were not synced."""
        self._write_folder(folder.stat().st_ino, folder, target, depth)

    def _write_folder(self, inode: int, now: Path | None, target: Path, depth: int) -> None:
        target.mkdir()
        now = now if depth > 0 else None
        synced = self._folders.get(inode, {})
        names = {path.name: path.lstat().st_ino for path in now.iterdir()} if now else synced
        for name, each in names.items():
            is_folder = (now / name).is_dir() if now else each in self._folders or each not in self._files
            if is_folder:
                self._write_folder(each, now / name if now else None, target / name, depth - 1)
            else:
                (target / name).write_bytes(self._files.get(each, b""))

    def _seen(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        result = call(*arguments, **options)
        self._on_change()
        return result

    def _sync(self, descriptor: int) -> None:
        # A number is given to another file only when nobody holds it any more.
        self._held.append(os.dup(descriptor))
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            inodes = {name: os.lstat(name, dir_fd=descriptor).st_ino for name in os.listdir(descriptor)}
            self._folders[status.st_ino] = inodes
        else:
            # Most are open for writing alone.
            self._files[status.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()


class PowerCuts:
    """Looks at the index as it would be after a power cut now, each time that differs from before."""

    def __init__(self, index: Path, scratch: Path, wanted: set[Counts], *, is_fresh: bool) -> None:
        self.disk = Disk(self.look)
        self.found: set[Counts] = set()
        self.num_looks = 0
        self._index, self._scratch, self._wanted, self._is_fresh = index, scratch, wanted, is_fresh
        self._seen: set[tuple[tuple[str, bytes], ...]] = set()
        self._is_looking = False

    def look(self) -> None:
        if self._is_looking or not self._index.is_dir():
            return
        self._is_looking = True
        for depth in (0, 1, 9):
            left = self._scratch / "left"
            self.disk.write(self._index, left, depth)
            state = tuple(sorted(contents(left).items()))
            if state not in self._seen:
                self._seen.add(state)
                self._check(left)
            shutil.rmtree(left)
        self._is_looking = False

    def _check(self, left: Path) -> None:
        self.num_looks += 1
        try:
            counts = counts_of(left)
        except MissingError:
            assert self._is_fresh, "an index that was whole is gone"
            return
        assert counts in self._wanted
        self.found.add(counts)


def counts_of(index: Path) -> Counts:
    with Index.open(index) as opened:
        return tuple(map(opened.count, QUERIES))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    home, chance = tmp_path_factory.mktemp("lost"), random.Random(5)
    for name, count in (("texts", 12), ("more", 5)):
        write_texts(home / name, [small_text(chance) for _ in range(count)])
    changes = write_driver.changes(home / "texts", home / "more")
    changes["build"](home / "built")
    shutil.copytree(home / "built", home / "deleted")
    for name in ("add", "delete"):
        changes[name](home / "deleted")
    yield {name: home / name for name in ("texts", "more", "built", "deleted")}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", ["build", "parts", "replace", "add", "delete", "merge"])
def test_a_power_cut_leaves_the_old_index_or_the_new_one(
    folders: dict[str, Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = write_driver.changes(folders["texts"], folders["more"])[name]
    before = {"build": None, "parts": None, "merge": "deleted"}.get(name, "built")
    index, after = tmp_path / "index", tmp_path / "after"
    for folder in (index, after):
        if before:
            shutil.copytree(folders[before], folder)
    change(after)
    wanted = {counts_of(after), *([counts_of(index)] if before else [])}
    cuts = PowerCuts(index, tmp_path, wanted, is_fresh=before is None)
    if before:
        cuts.disk.hold(index)
    with monkeypatch.context() as patched:
        cuts.disk.install(patched)
        change(index)
    assert cuts.disk.has_synced(index.parent), "the new folder's own name may be lost"
    cuts.disk.close()
    assert cuts.found == wanted and cuts.num_looks > 10
    assert contents(index) == contents(after)
