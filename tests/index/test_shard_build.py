"""Shards are the same wherever and in whatever order they are built, and are kept once they are whole."""

import os
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from index.small_texts import VOCABULARIES, contents, small_text, write_texts
from potstill.corpus.build import build_corpus
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, DiskFull, LockedError, MissingError, RefusedError, UsageError
from potstill.executors.local import InProcess, Processes
from potstill.index import shard_build
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add
from potstill.index.reader import Index
from potstill.index.shard_build import build_shards
from potstill.index.shard_checks import stats_of_any, verify_any
from potstill.index.shards import read_shards, shard_folder
from potstill.locks import locked

SETTINGS = BuildSettings(memory_bytes=64 << 20)
BYTES = ByteVocabulary()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    chance = random.Random(11)
    write_texts(tmp_path / "texts", [small_text(chance) or b"x" for _ in range(9)])
    return tmp_path / "texts"


def build(texts: Path, index: Path, num_shards: int = 3, executor=None):
    return build_shards([texts], index, BYTES, SETTINGS, executor or InProcess(), num_shards=num_shards)


class Recorder(InProcess):
    """Does as it is told, and remembers which shards it was given."""

    def __init__(self, ends_after=None):
        super().__init__()
        self.built, self._ends_after = [], ends_after

    def map(self, function, items, *, on_done=lambda index: None):
        results = []
        for number, item in enumerate(items):
            if number == self._ends_after:
                raise KeyboardInterrupt
            before = (item.folder / "manifest.json").exists()
            results.append(function(item))
            if not before:
                self.built.append(number)
        return results


def test_shards_built_by_processes_are_the_bytes_of_those_built_here(texts, tmp_path):
    build(texts, tmp_path / "here")
    with Processes(2) as processes:
        build(texts, tmp_path / "there", executor=processes)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=VOCABULARIES)
def test_every_document_is_in_one_shard_in_the_order_of_the_sources(texts, tmp_path, vocabulary):
    (texts / "text-001.txt").write_bytes(b"no byte but those of UTF-8")
    build_index([texts], tmp_path / "one", vocabulary, SETTINGS)
    build_shards([texts], tmp_path / "many", vocabulary, SETTINGS, InProcess(), num_shards=4)
    with Index.open(tmp_path / "one") as one, Index.open(tmp_path / "many") as many:
        assert one.document_numbers == many.document_numbers
        for number in one.document_numbers:
            assert one.document(number) == many.document(number)


def test_a_corpus_is_shared_out_as_its_sources_would_be(texts, tmp_path):
    build_corpus([texts], tmp_path / "corpus", BYTES)
    build(texts, tmp_path / "of texts")
    build(tmp_path / "corpus", tmp_path / "of corpus")
    with Index.open(tmp_path / "of texts") as first, Index.open(tmp_path / "of corpus") as second:
        assert list(map(first.document, first.document_numbers)) == list(
            map(second.document, second.document_numbers)
        )
    tokens = [
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("suffixes.bin"))]
        for name in ("of texts", "of corpus")
    ]
    assert sorted(tokens[0]) == sorted(tokens[1])


def test_a_build_that_was_stopped_goes_on_with_the_shards_that_are_missing(texts, tmp_path):
    stopped = Recorder(ends_after=2)
    with pytest.raises(KeyboardInterrupt):
        build(texts, tmp_path / "index", 4, stopped)
    assert stopped.built == [0, 1]
    with pytest.raises(MissingError):
        Index.open(tmp_path / "index")
    resumed = Recorder()
    build(texts, tmp_path / "index", 4, resumed)
    assert resumed.built == [2, 3]
    build(texts, tmp_path / "undisturbed", 4)
    assert contents(tmp_path / "index") == contents(tmp_path / "undisturbed")


def test_the_index_before_answers_until_the_new_one_is_whole(texts, tmp_path):
    index = tmp_path / "index"
    build(texts, index)
    with Index.open(index) as before:
        num_tokens = before.num_tokens
    (texts / "more.txt").write_bytes(b"one more text")
    with pytest.raises(KeyboardInterrupt):
        build(texts, index, 3, Recorder(ends_after=2))
    with Index.open(index) as still:
        assert (still.num_tokens, still.generation) == (num_tokens, 1)
    built = build(texts, index)
    with Index.open(index) as after:
        assert (after.num_tokens, after.generation) == (num_tokens + 13, 2)
    assert sorted(path.name for path in (index / "shards").iterdir()) == [each.name for each in built.shards]


def test_the_same_build_again_does_nothing(texts, tmp_path):
    built = build(texts, tmp_path / "index")
    again = Recorder(ends_after=0)
    assert build(texts, tmp_path / "index", 3, again) == built
    shutil.rmtree(shard_folder(tmp_path / "index", built.shards[1]))
    repaired = Recorder()
    build(texts, tmp_path / "index", 3, repaired)
    assert repaired.built == [1]


def damage(path: Path) -> None:
    path.write_bytes(b"\x7f" + path.read_bytes()[1:])


DAMAGED = {
    "bytes": lambda index, shard: damage(next(shard.rglob("suffixes.bin"))),
    "length": lambda index, shard: os.truncate(next(shard.rglob("tokens.bin")), 9),
    "manifest": lambda index, shard: damage(shard / "manifest.json"),
    "header": lambda index, shard: next(shard.rglob("segment.json")).unlink(),
    "own vocabulary": lambda index, shard: damage(next(shard.rglob("vocabulary.json"))),
    "vocabulary": lambda index, shard: damage(next(index.glob("vocabulary/*/vocabulary.json"))),
    "no vocabulary": lambda index, shard: shutil.rmtree(index / "vocabulary"),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_the_same_build_again_repairs_what_is_damaged(texts, tmp_path, damaged):
    index = tmp_path / "index"
    built = build(texts, index)
    before = contents(index)
    damaged(index, shard_folder(index, built.shards[1]))
    build(texts, index)
    assert not [each for each in verify_any(index) if each.problem]
    after = contents(index)
    assert {**after, "shards.json": None} == {**before, "shards.json": None}


def test_a_damaged_shard_of_a_build_that_was_stopped_is_built_anew(texts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(texts, tmp_path / "index", 4, Recorder(ends_after=2))
    damage(next((tmp_path / "index").glob("shards/*-001/manifest.json")))
    build(texts, tmp_path / "index", 4)
    build(texts, tmp_path / "undisturbed", 4)
    assert contents(tmp_path / "index") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize("at", ["keep_vocabulary", "split_sources", "run_all", "write_shards"])
def test_a_build_that_was_stopped_at_any_step_goes_on(texts, tmp_path, monkeypatch, at):
    with monkeypatch.context() as broken:
        broken.setattr(shard_build, at, lambda *_, **__: stop())
        with pytest.raises(KeyboardInterrupt):
            build(texts, tmp_path / "index")
    (tmp_path / "index" / ".tmp-shards.json").touch()
    assert len(build(texts, tmp_path / "index").shards) == 3


def stop():
    raise KeyboardInterrupt


def test_sources_that_change_while_they_are_read_are_refused(texts, tmp_path):
    class Late(InProcess):
        def map(self, function, items, *, on_done=lambda index: None):
            (texts / "text-000.jsonl").write_text('{"text": "a"}\n')
            return super().map(function, items, on_done=on_done)

    (texts / "text-000.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    with pytest.raises(RefusedError, match="changed while"):
        build(texts, tmp_path / "index", 3, Late())
    assert build(texts, tmp_path / "index").num_documents == 10


def test_a_disk_without_room_is_told_before_anything_is_built(texts, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(DiskFull, match="at least"):
        build(texts, tmp_path / "index", 3, Recorder(ends_after=0))


def test_what_a_killed_build_left_is_removed_by_the_next(texts, tmp_path):
    index = tmp_path / "index"
    built = build(texts, index)
    with pytest.raises(KeyboardInterrupt):
        build(texts, index, 4, Recorder(ends_after=1))
    assert len(list((index / "shards").iterdir())) == 4
    assert build(texts, index) == built
    assert len(list((index / "shards").iterdir())) == 3


def test_there_are_no_more_shards_than_documents(texts, tmp_path):
    assert len(build(texts, tmp_path / "index", 40).shards) == 9


def test_one_shard_a_worker_unless_told(texts, tmp_path):
    with Processes(2) as processes:
        built = build_shards([texts], tmp_path / "index", BYTES, SETTINGS, processes)
    assert len(built.shards) == 2


def test_a_second_builder_is_refused(texts, tmp_path):
    (tmp_path / "index").mkdir()
    with locked(tmp_path / "index"), pytest.raises(LockedError, match=str(os.getpid())):
        build(texts, tmp_path / "index")


def test_a_folder_of_anything_else_is_left_alone(texts, tmp_path):
    build_index([texts], tmp_path / "whole", BYTES, SETTINGS)
    build(texts, tmp_path / "shards")
    with pytest.raises(UsageError, match="no index in shards"):
        build(texts, tmp_path / "whole")
    with pytest.raises(UsageError, match="no index in shards"):
        build(texts, texts)
    for name in ("shards/of something else", "vocabulary/of words"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        with pytest.raises(UsageError, match="no index in shards"):
            build(texts, tmp_path / "mine")
        assert (tmp_path / "mine" / name).is_dir()
        shutil.rmtree(tmp_path / "mine")
    with pytest.raises(UsageError):
        build_index([texts], tmp_path / "shards", BYTES, SETTINGS)
    with pytest.raises(UsageError, match="in shards"):
        add(tmp_path / "shards", [texts], SETTINGS)


def test_what_others_put_beside_the_shards_stays(texts, tmp_path):
    build(texts, tmp_path / "index")
    (tmp_path / "index" / "shards" / ".DS_Store").touch()
    (texts / "more.txt").write_bytes(b"one more text")
    assert build(texts, tmp_path / "index").num_documents == 10
    assert (tmp_path / "index" / "shards" / ".DS_Store").exists()


def test_workers_that_write_to_other_disks_are_told(texts, tmp_path):
    class Elsewhere(InProcess):
        def map(self, function, items, *, on_done=lambda index: None):
            return [None for _ in items]

    with pytest.raises(MissingError, match="all of them share"):
        build(texts, tmp_path / "index", 3, Elsewhere())


def test_an_index_in_shards_within_the_sources_is_not_read_as_text(texts, tmp_path):
    build(texts, texts / "index")
    build_index([texts], tmp_path / "whole", BYTES, SETTINGS)
    with Index.open(tmp_path / "whole") as index:
        assert index.num_documents == 9


def test_a_newer_or_altered_list_of_shards_is_refused(texts, tmp_path):
    build(texts, tmp_path / "index")
    path = tmp_path / "index" / "shards.json"
    content = path.read_text()
    path.write_text(content.replace("potstill.shards/1", "potstill.shards/2"))
    with pytest.raises(DamagedError, match="newer"):
        Index.open(tmp_path / "index")
    path.write_text(content.replace('"num_documents": ', '"num_documents": 1'))
    with pytest.raises(DamagedError, match="altered"):
        Index.open(tmp_path / "index")


def test_stats_and_checks_are_of_all_shards(texts, tmp_path):
    index = tmp_path / "index"
    built = build(texts, index)
    found = stats_of_any(index)
    assert found.manifest.num_documents == 9
    assert found.manifest.num_tokens == sum(segment.num_tokens for segment in found.segments)
    assert [segment.name.split("/")[1] for segment in found.segments] == [each.name for each in built.shards]
    assert not [each for each in verify_any(index) if each.problem]
    tokens = next(shard_folder(index, built.shards[2]).rglob("tokens.bin"))
    tokens.write_bytes(b"\x7f" + tokens.read_bytes()[1:])
    (shard_folder(index, built.shards[0]) / "manifest.json").unlink()
    next(index.glob("vocabulary/*/vocabulary.json")).write_text("{}")
    vocabulary, *damaged = [each.path for each in verify_any(index) if each.problem]
    assert vocabulary.parent == index / "vocabulary"
    assert damaged == [shard_folder(index, built.shards[0]) / "manifest.json", tokens]


def test_what_is_whole_is_checked_by_the_same_functions(texts, tmp_path):
    build_index([texts], tmp_path / "index", BYTES, SETTINGS)
    assert stats_of_any(tmp_path / "index").manifest.num_documents == 9
    assert not [each for each in verify_any(tmp_path / "index") if each.problem]
    with pytest.raises(MissingError):
        read_shards(tmp_path / "index")
