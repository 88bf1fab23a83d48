"""An index in shards answers as a scan of all documents does: mapped together, and asked shard by shard."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.naive import END, Naive
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, MissingError, UsageError
from potstill.executors.local import InProcess
from potstill.index import fan_out
from potstill.index.build import BuildSettings, build_index
from potstill.index.fan_out import ShardedIndex
from potstill.index.reader import Index
from potstill.index.shard_build import build_shards
from potstill.index.shards import read_shards, shard_folder

SETTINGS = BuildSettings(memory_bytes=1 << 28)
# A few pieces that come again, so that the longest suffixes and the only continuations are in several shards.
PIECES = st.sampled_from(["a", "b", "ab", "abc", "bca", "cabab", "aaaa", ""])
TEXTS = st.lists(PIECES, max_size=6).map("".join)
DOCUMENTS = st.lists(TEXTS, min_size=1, max_size=7)
OPENERS = {
    "mapped together": Index.open,
    "shard by shard": lambda path: ShardedIndex.open(path, executor="local"),
}
either_way = pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)


def write_documents(path: Path, documents: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))


def build(folder: Path, documents: list[str], num_shards: int) -> Path:
    write_documents(folder / "documents.jsonl", documents)
    sources, index = [folder / "documents.jsonl"], folder / "index"
    build_shards(sources, index, ByteVocabulary(), SETTINGS, InProcess(), num_shards=num_shards)
    return index


@contextmanager
def opened(documents: list[str], num_shards: int, opener) -> Iterator[Index]:
    with (
        tempfile.TemporaryDirectory() as folder,
        opener(build(Path(folder), documents, num_shards)) as index,
    ):
        yield index


def naive(documents: list[str]) -> Naive:
    return Naive([list(text.encode()) for text in documents])


def told(found) -> Counter[int]:
    counts = Counter(dict(zip(found.ids.tolist(), found.counts.tolist(), strict=True)))
    return counts + Counter({END: found.num_end})


def rows(scores) -> list[tuple]:
    columns = (scores.suffix_len, scores.context_count, scores.count, scores.is_sparse)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@either_way
@settings(max_examples=12, deadline=None)
@given(DOCUMENTS, st.integers(1, 4), st.lists(TEXTS, min_size=1, max_size=5))
def test_counts_continuations_and_places_are_those_of_a_scan(opener, documents, num_shards, texts):
    truth = naive(documents)
    queries = [list(text.encode()) for text in texts]
    with opened(documents, num_shards, opener) as index:
        assert index.num_tokens == index.count([]) == truth.num_tokens
        assert index.num_documents == len(index.document_numbers) == len(documents)
        assert index.count_batch(*index.ragged(queries)).tolist() == list(map(truth.count, queries))
        batch = index.next_batch(*index.ragged(queries))
        for number, query in enumerate(queries):
            assert index.count(query) == truth.count(query)
            assert told(index.next(query)) == truth.next(query)
            found, counts = batch.row(number)
            ids = [END if each == batch.vocab_size else each for each in found.tolist()]
            assert Counter(dict(zip(ids, counts.tolist(), strict=True))) == truth.next(query)
            if query:
                assert sorted(index.find(query)) == truth.find(query)
                places = index.find(query).places()
                assert list(zip(places.documents, places.token_offsets, strict=True)) == truth.find(query)
        assert [list(index.document(n).tokens) for n in index.document_numbers] == truth.documents


@either_way
@settings(max_examples=12, deadline=None)
@given(DOCUMENTS, st.integers(1, 4), TEXTS, st.integers(1, 3))
def test_infgrams_matches_and_spans_are_those_of_a_scan(opener, documents, num_shards, text, min_length):
    truth, ids = naive(documents), list(text.encode())
    with opened(documents, num_shards, opener) as index:
        assert rows(index.score(ids)) == truth.score(ids)
        assert index.longest_matches(ids).tolist() == truth.longest_matches(ids)
        found = index.spans(ids, min_length)
        columns = (found.starts, found.lengths, found.counts)
        assert list(zip(*(each.tolist() for each in columns), strict=True)) == truth.spans(ids, min_length)
        longest = index.infgram_next(ids)
        assert (longest.suffix_len, longest.is_sparse, told(longest)) == truth.infgram_next(ids)
        last = index.infgram_prob(ids, ord("a"))
        seen = (last.suffix_len, last.context_count, last.count, last.is_sparse)
        assert seen == truth.infgram_prob(ids, ord("a"))
        state = index.state()
        for at, token_id in enumerate(ids, start=1):
            state.extend(token_id)
            wanted = truth.infgram_next(ids[:at])
            assert (state.suffix_len, state.count) == (wanted.suffix_len, sum(wanted.counts.values()))


@either_way
@settings(max_examples=12, deadline=None)
@given(
    DOCUMENTS, st.integers(1, 4), st.lists(st.sampled_from(["a", "b", "ab", "ca"]), min_size=1, max_size=3)
)
def test_a_search_counts_what_a_scan_counts(opener, documents, num_shards, words):
    clauses = [[list(word.encode())] for word in words]
    with opened(documents, num_shards, opener) as index:
        found = index.search(clauses, window_tokens=3, limit=None)
        truth = naive(documents)
        assert (found.count, found.num_documents) == truth.search(clauses, 3)
        assert [hit[:2] for hit in found.occurrences] == truth.anchors(clauses, 3)


@either_way
def test_two_shards_with_one_continuation_each_are_sparse_only_if_it_is_the_same(opener):
    for documents, is_sparse in ((["xa", "xa"], True), (["xa", "xb"], False)):
        with opened(documents, 2, opener) as index:
            assert index.infgram_next("x").is_sparse == is_sparse
            assert index.infgram_prob("x", "a").is_sparse == is_sparse
            # Here neither shard has the token itself.
            assert index.infgram_prob("x", "c").is_sparse == is_sparse


@either_way
def test_a_budget_bounds_what_is_not_known(opener):
    documents = ["ab" * 40 + "ac" * 40, "ad" * 40 + "ae" * 40]
    with opened(documents, 2, opener) as index:
        exact, rough = index.next("a"), index.next("a", budget=2)
        assert exact.is_exact and rough.total == exact.total == 160
        assert all(exact.count_of(token) - rough.count_of(token) <= rough.unresolved for token in exact.ids)


@either_way
def test_what_is_found_comes_with_its_file_and_bytes(opener, tmp_path):
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(4):
        (sources / f"{number}.txt").write_text(f"text number {number}")
    vocabulary = ByteVocabulary()
    build_shards([sources], tmp_path / "index", vocabulary, SETTINGS, InProcess(), num_shards=3)
    with opener(tmp_path / "index") as index:
        (place,) = index.find("number 3")
        passage = index.occurrence(*place, 8)
        assert (place.document, passage.before, passage.match) == (3, "text ", "number 3")
        source = passage.source
        assert (source.path, source.byte_start, source.byte_stop) == (sources / "3.txt", 5, 13)


@either_way
def test_wrong_questions_are_usage_errors(opener, tmp_path):
    with opener(build(tmp_path, ["ab", "ba"], 2)) as index:
        with pytest.raises(UsageError):
            index.count([256])
        with pytest.raises(UsageError):
            index.document(2)
    with pytest.raises(UsageError, match="closed"):
        index.count("a")


def test_an_index_that_is_whole_cannot_be_asked_shard_by_shard(tmp_path):
    write_documents(tmp_path / "documents.jsonl", ["ab"])
    build_index([tmp_path / "documents.jsonl"], tmp_path / "index", ByteVocabulary(), SETTINGS)
    with pytest.raises(UsageError, match="not in shards"):
        ShardedIndex.open(tmp_path / "index", executor="local")


DAMAGE = {
    "missing": lambda folder: (folder / "manifest.json").unlink(),
    "altered": lambda folder: flip(folder / "manifest.json", 30),
    "of another build": lambda folder: (folder / "manifest.json").write_bytes(
        (folder / "manifest.json").read_bytes().replace(b"  ", b" ")
    ),
    "cut short": lambda folder: cut(next(folder.glob("segments/*/suffixes.bin"))),
}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_shard_that_cannot_be_opened_is_refused_or_left_out_by_name(damage, tmp_path):
    index = build(tmp_path, ["aaa", "aa", "a"], 3)
    entry = read_shards(index).shards[1]
    damage(shard_folder(index, entry))
    for opener in (Index.open, lambda path, **how: ShardedIndex.open(path, executor="local", **how)):
        with pytest.raises((DamagedError, MissingError), match=f"Shard {entry.name}"):
            opener(index)
        with opener(index, degraded=True) as left:
            assert left.left_out == (f"shards/{entry.name}",)
            assert (left.num_tokens, left.num_documents) == (4, 2)
            assert (left.count("a"), left.count("aa")) == (4, 2)


def test_documents_keep_their_numbers_where_a_shard_is_left_out(tmp_path):
    index = build(tmp_path, ["aaa", "aa", "ab"], 3)
    DAMAGE["missing"](shard_folder(index, read_shards(index).shards[1]))
    with ShardedIndex.open(index, executor="local", degraded=True) as left:
        assert sorted(left.find("ab")) == [(2, 0)]
        assert left.document(2).text == "ab"
        with pytest.raises(MissingError, match="Shard "):
            left.document(1)


def test_damage_that_a_question_finds_leaves_the_shard_out_or_ends_the_question(tmp_path):
    index = build(tmp_path, ["abab", "abc", "ab"], 3)
    entry = read_shards(index).shards[0]
    flip(next(shard_folder(index, entry).glob("segments/*/tokens.bin")), 2)
    told = pytest.raises(DamagedError, match=f"Shard {entry.name}: .*tokens.bin")
    with ShardedIndex.open(index, executor="local") as whole, told:
        whole.score("abc")
    with ShardedIndex.open(index, executor="local", degraded=True) as left:
        truth = naive(["abc", "ab"])
        assert rows(left.score("abc")) == truth.score(list(b"abc"))
        assert left.left_out == (f"shards/{entry.name}",)
        assert left.count("ab") == 2


def test_an_index_with_every_shard_gone_is_refused_even_degraded(tmp_path):
    index = build(tmp_path, ["a", "b"], 2)
    for entry in read_shards(index).shards:
        DAMAGE["missing"](shard_folder(index, entry))
    for opener in (Index.open, lambda path, **how: ShardedIndex.open(path, executor="local", **how)):
        with pytest.raises(MissingError):
            opener(index, degraded=True)


def test_no_question_is_answered_where_every_shard_was_lost_meanwhile(tmp_path):
    index = build(tmp_path, ["abab", "abc"], 2)
    for entry in read_shards(index).shards:
        flip(next(shard_folder(index, entry).glob("segments/*/tokens.bin")), 2)
    with ShardedIndex.open(index, executor="local", degraded=True) as left:
        for _ in range(2):
            with pytest.raises(DamagedError, match="Shard "):
                left.score("abc")


def test_shards_that_a_builder_swaps_meanwhile_are_opened_anew(tmp_path, monkeypatch):
    index = build(tmp_path, ["ab", "ba"], 2)
    before = read_shards(index)
    build(tmp_path, ["ab", "ba", "abab"], 2)
    # What was read just before the swap, then what stands.
    answers = iter([before])
    read_now = fan_out.read_shards
    monkeypatch.setattr(fan_out, "read_shards", lambda path: next(answers, None) or read_now(path))
    for degraded in (False, True):
        answers = iter([before])
        with ShardedIndex.open(index, executor="local", degraded=degraded) as found:
            assert (found.generation, found.count("ab"), found.left_out) == (2, 3, ())


def test_ids_of_every_width_travel_as_arrays(tmp_path):
    with ShardedIndex.open(build(tmp_path, ["ab", "ba"], 2), executor="local") as index:
        for kind in (np.uint8, np.int64, np.uint32):
            assert index.count(np.array([97], kind)) == 2
