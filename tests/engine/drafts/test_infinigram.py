import json
import random

import pytest

from engine.drafts.changing_texts import check_equals_definition, request
from index.small_index import small_index
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.engine.drafts.infinigram import InfinigramDraft
from potstill.errors import ConfigError, UsageError
from potstill.executors.local import InProcess
from potstill.index.build import BuildSettings
from potstill.index.fan_out import ShardedIndex
from potstill.index.reader import Index
from potstill.index.shard_build import build_shards


def random_documents(rng, vocab_size, count=6):
    return [[rng.randrange(vocab_size) for _ in range(rng.randrange(1, 30))] for _ in range(count)]


@pytest.mark.parametrize("longest", [1, 3, 32])
@pytest.mark.parametrize("vocab_size", [2, 4, 30])
def test_without_an_index_guesses_are_those_of_the_definition(longest, vocab_size):
    rng = random.Random(longest * 100 + vocab_size)
    for _ in range(4):
        drafter = InfinigramDraft(vocab_size, longest=longest)
        check_equals_definition(drafter, drafter.definition, rng, vocab_size)


@pytest.mark.parametrize("budget", [4, 256])
@pytest.mark.parametrize("bias", [0, 2])
@pytest.mark.parametrize("vocab_size", [3, 12])
def test_with_an_index_guesses_are_those_of_the_definition(tmp_path, vocab_size, bias, budget):
    """An index of several segments with a deleted document; the text holds tokens that the index cannot."""
    rng = random.Random(vocab_size * 100 + bias * 10 + budget)
    segments = [random_documents(rng, vocab_size) for _ in range(2)]
    index = small_index(tmp_path, segments, frozenset({3}), vocab_size=vocab_size)
    for _ in range(3):
        drafter = InfinigramDraft(vocab_size + 2, index, bias=bias, budget=budget)
        check_equals_definition(drafter, drafter.definition, rng, vocab_size + 2)


def test_the_longer_match_decides_and_an_index_has_to_be_ahead(tmp_path):
    index = small_index(tmp_path, [[[1, 2, 3, 40, 41, 42]]], vocab_size=50)
    text = [2, 3, 30, 31, 9, 1, 2, 3]
    guesses = {
        bias: InfinigramDraft(51, index, bias=bias).propose([request(text, most_tokens=2)])[0].token_ids
        for bias in (0, 1, 5)
    }
    assert guesses == {0: (40, 41), 1: (30, 31), 5: (30, 31)}


def test_a_document_that_ends_is_guessed_to_end(tmp_path):
    index = small_index(tmp_path, [[[1, 2, 3, 4]]], vocab_size=50)
    (draft,) = InfinigramDraft(60, index, bias=0).propose([request([1, 2])])
    assert draft.token_ids == (3, 4, 50)


def test_a_long_text_that_stands_in_the_index_is_followed_wherever_it_is_taken_up(tmp_path):
    rng = random.Random(8)
    document = [rng.randrange(3) for _ in range(180)]
    index = small_index(tmp_path, [[document]], vocab_size=3)
    drafter = InfinigramDraft(4, index, longest=1, bias=0)
    for length in (100, 101, 60, 150, 149):
        (draft,) = drafter.propose([request(document[:length], most_tokens=8)])
        assert draft.token_ids == tuple(document[length : length + 8])


def test_an_index_that_is_asked_shard_by_shard_drafts_what_it_does_mapped_together(tmp_path):
    documents = ["abcab", "cabcbab", "bcabc", "aabbcc"]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    settings, index = BuildSettings(memory_bytes=1 << 28), tmp_path / "index"
    build_shards([tmp_path / "texts.jsonl"], index, ByteVocabulary(), settings, InProcess(), num_shards=2)
    with Index.open(index) as mapped, ShardedIndex.open(index, executor="local") as far:
        drafters = [InfinigramDraft(257, each, bias=0) for each in (mapped, far)]
        for text in (b"ab", b"abcab", b"xab", b"abc", b"a"):
            first, second = (drafter.propose([request(text)]) for drafter in drafters)
            assert first == second and first[0].token_ids


def test_a_forgotten_text_is_a_new_one():
    drafter = InfinigramDraft(10)
    drafter.propose([request([1, 2, 1])])
    drafter.forget(1)
    drafter.forget(1)
    assert drafter.num_texts == 0
    assert drafter.propose([request([3])])[0].token_ids == ()


def test_settings_that_mean_nothing_are_refused(tmp_path):
    for name in ("longest", "bias", "budget"):
        with pytest.raises(ConfigError, match=f"{name} is -1"):
            InfinigramDraft(10, **{name: -1})
    index = small_index(tmp_path, [[[1, 2]]], vocab_size=50)
    with pytest.raises(UsageError, match="cannot name them all"):
        InfinigramDraft(10, index)
