from dataclasses import replace

import pytest

from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, MissingError, UsageError
from potstill.executors.local import InProcess
from potstill.index.build import BuildSettings
from potstill.index.manifest import (
    Manifest,
    VocabularyFacts,
    read_manifest,
    set_interpolation,
    write_manifest,
)
from potstill.index.shard_build import build_shards
from potstill.lm.interpolation import Interpolation
from potstill.lm.tuned_interpolation import (
    TunedInterpolation,
    keep_interpolation,
    kept_interpolation,
    sha256_of_documents,
)

TUNED = TunedInterpolation(
    weights=Interpolation(0.75, 1 / 3),
    text="news, held out",
    text_sha256=sha256_of_documents([[1, 2], [3]]),
    num_tokens=3,
    model="gemma-3-270m",
    perplexity=12.5,
)


@pytest.fixture
def index(tmp_path):
    write_manifest(tmp_path, Manifest(1, (), VocabularyFacts("tokenizer", 5, "ab" * 32, 1)))
    return tmp_path


def test_weights_are_kept_beside_the_index_with_what_they_were_tuned_on(index):
    assert kept_interpolation(index) is None
    keep_interpolation(index, TUNED)
    assert kept_interpolation(index) == TUNED
    assert read_manifest(index).generation == 2
    keep_interpolation(index, replace(TUNED, perplexity=11.0))
    assert kept_interpolation(index).perplexity == 11
    keep_interpolation(index, None)
    assert kept_interpolation(index) is None


@pytest.mark.parametrize("weights", [{"sparse": 0.5}, {"sparse": 0.5, "nonsparse": 1.0}, "half"])
def test_weights_that_cannot_be_are_told_with_their_file(index, weights):
    table = {"text": "t", "text_sha256": "", "num_tokens": 1, "model": "m", "perplexity": 2.0}
    set_interpolation(index, {"weights": weights, **table})
    with pytest.raises(DamagedError, match=r"manifest\.json: the λ"):
        kept_interpolation(index)


def test_an_index_in_shards_keeps_no_weights(tmp_path):
    (tmp_path / "a.txt").write_text("ab")
    settings = BuildSettings(memory_bytes=1 << 26)
    build_shards([tmp_path], tmp_path / "index", ByteVocabulary(), settings, InProcess(), num_shards=1)
    assert kept_interpolation(tmp_path / "index") is None
    with pytest.raises(UsageError, match="in shards"):
        keep_interpolation(tmp_path / "index", TUNED)


def test_no_index_no_weights(tmp_path):
    with pytest.raises(MissingError, match="is no index"):
        kept_interpolation(tmp_path)


def test_the_sum_of_a_text_knows_where_documents_end():
    assert sha256_of_documents([[1, 2], [3]]) != sha256_of_documents([[1], [2, 3]])
    assert sha256_of_documents([[1, 2], [3]]) == sha256_of_documents(iter([(1, 2), (3,)]))
