"""What other n-gram engines get wrong: each is a test here."""

from dataclasses import replace

import numpy as np
import pytest

from index.naive import Naive
from index.small_index import small_index, write_index
from potstill.cli.main import main
from potstill.corpus.sealed import read_sealed, write_sealed
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, UsageError
from potstill.files import sha256_of
from potstill.index.commit import vocabulary_name
from potstill.index.manifest import write_manifest
from potstill.index.reader import Index
from potstill.index.segment_files import SCHEMA

LARGE = 262_144


def repeats(num_tokens: int, vocab_size: int, seed: int) -> list[list[int]]:
    """Documents of a skewed text, every other one a copy of an earlier one with an edit."""
    generator = np.random.default_rng(seed)
    documents: list[list[int]] = []
    while sum(map(len, documents)) < num_tokens:
        ids = np.minimum(generator.geometric(0.02, 400) - 1, vocab_size - 1).tolist()
        if len(documents) % 2:
            ids = list(documents[int(generator.integers(len(documents)))])
            ids[int(generator.integers(len(ids)))] = int(generator.integers(vocab_size))
        documents.append(ids)
    return documents


def test_a_vocabulary_of_262144_is_indexed_and_answers(tmp_path):
    documents = [[0, LARGE - 1, 70_000, LARGE - 1], [LARGE - 1, 70_000], []]
    truth = Naive(documents)
    with small_index(tmp_path, [documents], vocab_size=LARGE) as index:
        for query in ([LARGE - 1], [LARGE - 1, 70_000], [70_000, LARGE - 1], [0], [5]):
            assert index.count(query) == truth.count(query)
        found = index.next([LARGE - 1])
        assert (found.ids.tolist(), found.counts.tolist(), found.num_end) == ([70_000], [2], 1)
        assert index.document(0).tokens == tuple(documents[0])


def test_a_conjunctive_count_is_exact_for_frequent_words(tmp_path):
    generator = np.random.default_rng(3)
    documents = [generator.integers(0, 4, 500).tolist() for _ in range(60)]
    with small_index(tmp_path, [documents], vocab_size=4) as index:
        found = index.search([[[1]], [[2], [3, 3]]], window_tokens=3)
    assert found.is_exact
    assert found.count == _near(documents)


def _near(documents: list[list[int]]) -> int:
    """Ones, the rarer clause, with a two or a pair of threes that starts at most three tokens away."""
    count = 0
    for ids in documents:
        starts = np.array(
            [token_id == 2 or ids[at : at + 2] == [3, 3] for at, token_id in enumerate(ids)], bool
        )
        ones = np.flatnonzero(np.array(ids) == 1)
        count += sum(bool(starts[max(at - 3, 0) : at + 4].any()) for at in ones)
    return count


def test_what_follows_the_most_frequent_token_is_exact(tmp_path):
    documents = repeats(60_000, 300, seed=1)
    stream = np.array([token_id for ids in documents for token_id in [*ids, 300]])
    frequent = int(np.bincount(stream[stream < 300]).argmax())
    after = np.bincount(stream[1:][stream[:-1] == frequent], minlength=301)
    with small_index(tmp_path, [documents], vocab_size=300) as index:
        found = index.next([frequent])
    distribution = np.zeros(301)
    distribution[found.ids], distribution[300] = found.counts, found.num_end
    total_variation = abs(distribution / found.total - after / after.sum()).sum() / 2
    assert found.is_exact and total_variation == 0


def test_a_budget_says_that_the_answer_is_approximate_and_by_how_much(tmp_path):
    generator = np.random.default_rng(5)
    documents = [generator.integers(0, 200, 20_000).tolist()]
    truth = Naive(documents).next([7])
    # Without tables: with them a single token's continuations are listed and need no search.
    with small_index(tmp_path, [documents], vocab_size=200, tables=False) as index:
        found = index.next([7], budget=4)
        exact = index.next([7])
    assert exact.is_exact and not found.is_exact
    assert found.total == exact.total == sum(truth.values())
    for token_id in range(200):
        assert found.count_of(token_id) <= truth[token_id] <= found.count_of(token_id) + found.unresolved


def test_longest_matches_of_40000_tokens(tmp_path):
    documents = repeats(20_000, 300, seed=2)
    stream = [token_id for ids in documents for token_id in ids]
    text = [*stream, *stream][:40_000]
    with small_index(tmp_path, [documents], vocab_size=300) as index:
        found = index.longest_matches(text)
        assert found.shape == (40_000,) and found.min() >= 1
        for at in range(0, 40_000, 997):
            length = int(found[at])
            assert index.count(text[at : at + length]) > 0
            assert at + length == len(text) or index.count(text[at : at + length + 1]) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32, np.int64, np.uint64])
def test_numpy_arrays_are_taken(tmp_path, dtype):
    with small_index(tmp_path, [[[1, 2, 1, 2]]], vocab_size=3) as index:
        query = np.array([1, 2], dtype)
        assert index.count(query) == 2
        assert index.next(query).counts.tolist() == [1]
        assert index.infgram_prob(query, 1).count == 1
        assert index.count_batch(query, np.array([0, 1, 2], dtype)).tolist() == [2, 2]
        assert index.longest_matches(query).tolist() == [2, 1]
        assert index.spans(query).counts.tolist() == [2]
        assert index.score(query).count.tolist() == [2, 2]
        assert list(index.find(query))


def test_a_folder_that_is_missing_ends_the_command_with_4(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["index", "count", str(tmp_path / "nowhere"), "a"])
    assert ended.value.code == 4
    assert "nowhere" in capsys.readouterr().err


def test_an_index_of_another_width_is_refused(tmp_path):
    """The width stands in the sealed header, and the sizes of the files must agree with it."""
    manifest = write_index(tmp_path, [[[1, 2, 1]]], vocab_size=256)
    ByteVocabulary().save(tmp_path / "vocabulary" / vocabulary_name(manifest.vocabulary.fingerprint))
    with Index.open(tmp_path) as index:
        assert index.count(b"\x01") == 2
    header = next(tmp_path.glob("segments/*/segment.json"))
    whole = header.read_bytes()
    header.write_bytes(whole.replace(b'"symbol_bytes": 2', b'"symbol_bytes": 4'))
    with pytest.raises(DamagedError, match=r"segment\.json"):
        Index.open(tmp_path)
    header.write_bytes(whole)
    write_sealed(header, SCHEMA, read_sealed(header, SCHEMA) | {"symbol_bytes": 4})
    entry = replace(manifest.segments[0], sha256=sha256_of(header))
    write_manifest(tmp_path, replace(manifest, segments=(entry,)))
    with pytest.raises(DamagedError, match=r"tokens\.bin"):
        Index.open(tmp_path)


def test_ranks_are_in_order_where_50000_tokens_are_repeated(tmp_path):
    piece = np.random.default_rng(4).integers(0, 200, 55_000).tolist()
    documents = [piece, [7, *piece], [*piece, 8], piece]
    with small_index(tmp_path, [documents], vocab_size=300) as index:
        ranks = range(index.num_tokens)
        positions = index.reader.positions(0, 0, len(ranks)).astype(np.int64)
        assert sorted(positions.tolist()) == [
            at for at, symbol in enumerate(index.reader.symbols(0, 0, len(ranks) + 4)) if symbol
        ]
        # The suffix without its first token keeps its place: one look at a pair compares all its tokens.
        rank_of = np.full(len(ranks) + 4, -1, np.int64)
        rank_of[positions] = ranks
        symbols = index.reader.symbols(0, 0, len(ranks) + 4).astype(np.int64)
        first = symbols[positions]
        behind = rank_of[positions + 1]
        is_less = first[:-1] < first[1:]
        ends = (behind[:-1] == -1) & (behind[1:] == -1)
        is_tied = np.where(ends, positions[:-1] < positions[1:], behind[:-1] < behind[1:])
        is_same = (first[:-1] == first[1:]) & is_tied
        assert np.all(is_less | is_same)
        assert index.count(piece) == 4
        assert index.count([7, *piece]) == 1
        assert index.count([*piece, 8]) == 1


@pytest.mark.parametrize("documents", [[], [[]], [[1]], [[], [1], []], [[1, 1]], [[0], [1], [2]]])
@pytest.mark.parametrize("tables", [True, False])
def test_small_corpora_answer(tmp_path, documents, tables):
    truth = Naive(documents)
    with small_index(tmp_path, [documents], vocab_size=3, tables=tables) as index:
        for query in ([], [0], [1], [1, 1], [2, 2, 2]):
            assert index.count(query) == truth.count(query)
            assert index.next(query).total == truth.count(query)
            assert index.infgram_next(query).suffix_len == truth.infgram_next(query).suffix_len
        assert index.longest_matches([1, 1, 0]).tolist() == truth.longest_matches([1, 1, 0])
        assert index.search([[[1]], [[0]]]).count == 0
        assert index.longest_matches([]).tolist() == []


def test_an_index_of_no_segments_answers(tmp_path):
    with small_index(tmp_path, [], vocab_size=3) as index:
        assert index.num_tokens == index.count([]) == index.count([1]) == 0
        assert list(index.find([1])) == []
        assert index.next([1]).total == index.infgram_next([1]).suffix_len == 0
        with pytest.raises(UsageError):
            index.document(0)


def test_documents_that_hold_the_end_tokens_id_are_one_document(tmp_path):
    """The lowest and the highest id are the ones that separators are made of elsewhere."""
    documents = [[1, 0, 1, 299, 1], [299], [0]]
    with small_index(tmp_path, [documents], vocab_size=300) as index:
        assert index.count([1, 0, 1]) == index.count([1, 299, 1]) == 1
        assert index.next([0]).count_of(1) == 1 and index.next([0]).num_end == 1
        assert index.next([299]).ids.tolist() == [1] and index.next([299]).num_end == 1
        assert index.num_documents == 3


def test_an_ngram_over_two_documents_does_not_occur(tmp_path):
    with small_index(tmp_path, [[[1, 2], [3, 1]], [[4]]], vocab_size=300) as index:
        assert [index.count(query) for query in ([2, 3], [1, 2, 3], [1, 4])] == [0, 0, 0]
        assert index.longest_matches([1, 2, 3, 1]).tolist() == [2, 1, 2, 1]


@pytest.mark.slow
def test_a_million_tiny_documents_answer(tmp_path):
    ids = np.random.default_rng(6).integers(0, 10, 1_000_000)
    with small_index(tmp_path, [ids.reshape(-1, 1).tolist()], vocab_size=10) as index:
        assert index.num_documents == index.num_tokens == 1_000_000
        found = index.next([])
        assert found.counts.tolist() == np.bincount(ids).tolist()
        assert index.next([3]).num_end == index.count([3]) == found.counts[3]
        assert index.count([3, 4]) == 0
        places = index.find([3]).places()
        assert places.documents.tolist() == np.flatnonzero(ids == 3).tolist()
        assert not places.token_offsets.any()
        assert index.document(999_999).tokens == (ids[-1],)
        assert index.search([[[3]], [[3], [4]]]).count == found.counts[3]
