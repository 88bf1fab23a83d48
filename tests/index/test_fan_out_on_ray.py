"""Shards built on a Ray cluster of two workers and asked there, one actor a shard: equal to one index."""

import importlib.util
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

from executor_work import descendants, wait_until_gone
from index.small_texts import contents, small_text, tokenizer_vocabulary, write_texts
from potstill.errors import MissingError
from potstill.executors.executor import open_executor
from potstill.executors.local import InProcess
from potstill.index.build import BuildSettings, build_index
from potstill.index.fan_out import ShardedIndex
from potstill.index.reader import Index
from potstill.index.shard_build import build_shards
from potstill.index.shards import read_shards, shard_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="needs the extra `ray`: pip install 'potstill[ray]'"
    ),
]
SETTINGS = BuildSettings(memory_bytes=64 << 20)
VOCABULARY = tokenizer_vocabulary()
CONTEXTS = ["the cat", "cat sat on a", " mat", "and the Dog ran to the", "zebra", "ünïcode 漢字", ""]


@pytest.fixture(scope="module")
def cluster():
    with open_executor("ray", num_workers=2) as executor:
        yield executor


@pytest.fixture(scope="module")
def home(cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home, chance = tmp_path_factory.mktemp("ray"), random.Random(3)
    write_texts(home / "texts", [small_text(chance).replace(b"\xff\xfe", b"") for _ in range(40)])
    build_index([home / "texts"], home / "one", VOCABULARY, SETTINGS)
    build_shards([home / "texts"], home / "shards", VOCABULARY, SETTINGS, cluster, num_shards=3)
    return home


@pytest.fixture(scope="module")
def one(home):
    with Index.open(home / "one") as index:
        yield index


@pytest.fixture(scope="module")
def sharded(home, cluster):
    with ShardedIndex.open(home / "shards", executor=cluster) as index:
        yield index


def test_shards_built_on_ray_are_the_bytes_of_those_built_here(home):
    build_shards([home / "texts"], home / "here", VOCABULARY, SETTINGS, InProcess(), num_shards=3)
    assert contents(home / "shards") == contents(home / "here")


def test_counts_and_continuations_are_those_of_one_index(one, sharded):
    queries = one.ragged(CONTEXTS)
    assert sharded.count_batch(*queries).tolist() == one.count_batch(*queries).tolist()
    for context in CONTEXTS:
        assert sharded.count(context) == one.count(context)
        for wanted, found in ((one.next(context), sharded.next(context)),
                              (one.infgram_next(context), sharded.infgram_next(context))):  # fmt: skip
            assert np.array_equal(wanted.ids, found.ids) and np.array_equal(wanted.counts, found.counts)
            assert (wanted.num_end, wanted.total) == (found.num_end, found.total)
        assert sharded.infgram_prob(context, " a") == one.infgram_prob(context, " a")


def test_texts_are_measured_as_by_one_index(one, sharded):
    text = "the cat sat on a mat and the Dog ran to zebra ünïcode"
    for answer in ("score", "spans"):
        wanted, found = getattr(one, answer)(text), getattr(sharded, answer)(text)
        assert all(np.array_equal(getattr(wanted, name), getattr(found, name)) for name in wanted.__slots__)
    assert np.array_equal(one.longest_matches(text), sharded.longest_matches(text))


def test_places_and_documents_are_those_of_one_index(one, sharded):
    assert sorted(sharded.find("the cat")) == sorted(one.find("the cat"))
    assert [sharded.document(number) for number in (0, 17, 39)] == [one.document(n) for n in (0, 17, 39)]
    place = next(iter(one.find("mat")))
    assert sharded.occurrence(*place, 1) == one.occurrence(*place, 1)
    wanted, found = (index.search("cat AND mat", window_tokens=9, limit=None) for index in (one, sharded))
    assert wanted == found


def test_actors_that_are_killed_are_started_again(home, cluster):
    others = actors()
    with ShardedIndex.open(home / "shards", executor=cluster) as index:
        before = index.count("the")
        killed = actors() - others
        kill(killed)
        assert index.count("the") == before
        assert len(killed) == 3 and not killed & actors()


def test_a_shard_that_is_gone_when_its_actor_starts_again_is_told_or_left_out(home, cluster, tmp_path):
    build_shards([home / "texts"], tmp_path, VOCABULARY, SETTINGS, InProcess(), num_shards=3)
    entry = read_shards(tmp_path).shards[1]
    others = actors()
    with (
        ShardedIndex.open(tmp_path, executor=cluster) as strict,
        ShardedIndex.open(tmp_path, executor=cluster, degraded=True) as lenient,
    ):
        (shard_folder(tmp_path, entry) / "manifest.json").unlink()
        kill(actors() - others)
        with pytest.raises(MissingError, match=f"Shard {entry.name}"):
            strict.count([])
        assert lenient.count([]) == strict.num_tokens - entry.num_tokens
        assert lenient.left_out == (f"shards/{entry.name}",)


def test_an_actor_that_keeps_dying_ends_the_question_and_not_in_a_wait(home, cluster):
    others = actors()
    with ShardedIndex.open(home / "shards", executor=cluster) as index:
        for _ in range(2):
            assert index.count("the") > 0
            kill(actors() - others)
        with pytest.raises(MissingError, match="Shard .*lost actor"):
            index.count("the")


def actors() -> set[int]:
    """The processes that hold a shard."""
    return {pid for pid in descendants(os.getpid()) if command_of(pid).startswith(b"ray::_Resident")}


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def kill(pids: set[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
