import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from index.naive import END, Naive
from index.small_index import small_index
from lm.naive_index import NaiveIndex
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.errors import UsageError
from potstill.lm.context import Context
from potstill.lm.infinigram import InfinigramModel
from potstill.lm.stateless import Stateless
from potstill.types import SamplingParams

tokens = st.integers(0, 4)
corpora = st.lists(st.lists(tokens, max_size=12), min_size=1, max_size=4).filter(any)


def model_of(documents, vocab_size=5, eos_id=0, vocab_size_of_rows=None):
    return InfinigramModel(NaiveIndex(documents, vocab_size, eos_id), vocab_size_of_rows)


def write_greedily(model, prompt, max_tokens=40):
    engine = Engine(Stateless(model), EngineParams(), eos_ids=[model.eos_id])
    sequence = engine.add(prompt, SamplingParams(temperature=0, max_tokens=max_tokens))
    while engine.has_work:
        engine.step()
    return sequence.output_ids


def defined_probs(documents, context, eos_id, vocab_size):
    """The definition in whole numbers: counts after the longest suffix, an end being an EOS."""
    counts = Naive(documents).infgram_next(context).counts
    as_tokens = Counter()
    for token_id, count in counts.items():
        as_tokens[eos_id if token_id == END else token_id] += count
    total = sum(as_tokens.values())
    return [Fraction(as_tokens[token_id], total) for token_id in range(vocab_size)]


@given(corpora, st.lists(tokens, max_size=8), st.sampled_from([0, 3, None]))
def test_a_row_holds_the_counts_after_the_longest_suffix_and_sums_to_one(documents, context, eos_id):
    model = model_of(documents, eos_id=eos_id)
    (row,) = np.exp(model.next_logprobs([Context(tuple(context))]).astype(np.float64))
    expected = defined_probs(documents, context, model.eos_id, model.vocab_size)
    np.testing.assert_allclose(row, np.array(expected, float), rtol=1e-5)
    assert row.sum() == pytest.approx(1)
    (distribution,) = model.distributions([Context(tuple(context))])
    assert distribution.is_sparse == (sum(prob > 0 for prob in expected) == 1)


@given(corpora, st.lists(tokens, min_size=1, max_size=12), st.booleans())
def test_scores_of_a_text_are_the_rows_of_its_prefixes(documents, text, with_end):
    model = model_of(documents)
    found = model.score(text, with_end=with_end)
    followed = [*text, model.eos_id] if with_end else text
    assert len(found.probs) == len(found.suffix_len) == len(found.is_sparse) == len(followed)
    contexts = [Context(tuple(text[:at])) for at in range(len(followed))]
    for at, distribution in enumerate(model.distributions(contexts)):
        assert found.probs[at] == pytest.approx(distribution.probs[distribution.ids == followed[at]].sum())
        assert found.suffix_len[at] == distribution.suffix_len
        assert found.is_sparse[at] == distribution.is_sparse


@given(st.lists(corpora, min_size=1, max_size=3), st.data())
@settings(max_examples=40, deadline=None)
def test_an_index_on_the_disk_gives_what_looking_at_every_token_gives(segments, data):
    """Several segments, some documents deleted."""
    documents = [ids for segment in segments for ids in segment]
    deleted = data.draw(st.frozensets(st.integers(0, len(documents) - 1)))
    live = [ids for number, ids in enumerate(documents) if number not in deleted]
    assume(any(live))
    texts = data.draw(st.lists(st.lists(tokens, max_size=9), min_size=1, max_size=3))
    contexts = [Context(tuple(text)) for text in texts]
    naive = model_of(live)
    with (
        tempfile.TemporaryDirectory() as folder,
        small_index(Path(folder), segments, deleted, vocab_size=5) as index,
    ):
        index.vocabulary.eos_id = 0
        model = InfinigramModel(index)
        np.testing.assert_array_equal(model.next_logprobs(contexts), naive.next_logprobs(contexts))
        for text in texts:
            found, expected = model.score(text, with_end=True), naive.score(text, with_end=True)
            np.testing.assert_array_equal(found.probs, expected.probs)
            np.testing.assert_array_equal(found.suffix_len, expected.suffix_len)
            np.testing.assert_array_equal(found.is_sparse, expected.is_sparse)


def test_a_document_end_is_an_eos_beside_ordinary_tokens_of_that_id():
    model = model_of([[1, 2], [1, 2, 0], [1, 2, 3], [1, 2, 3]])
    (row,) = np.exp(model.next_logprobs([Context((1, 2))]))
    np.testing.assert_allclose(row, [0.5, 0, 0, 0.5, 0], rtol=1e-6)


def test_an_end_and_an_ordinary_token_of_its_id_are_one_continuation():
    model = model_of([[1, 2], [1, 2, 0], [3, 3], [3, 3, 4]])
    ended, other = model.distributions([Context((1, 2)), Context((3, 3))])
    assert ended.is_sparse and not other.is_sparse
    for text in ([1, 2, 0], [1, 2, 4]):
        found = model.score(text)
        assert found.is_sparse.tolist() == [False, True, True]
        assert found.probs[2] == (text[2] == 0)


def test_bytes_end_with_a_token_of_their_own_and_nothing_is_matched_across_it():
    model = model_of([[97, 98], [97, 99]], vocab_size=256, eos_id=None)
    assert (model.vocab_size, model.eos_id) == (257, 256)
    ended, after = np.exp(model.next_logprobs([Context((97, 98)), Context((98, 256, 97))]))
    assert ended[256] == 1
    assert (after[98], after[99]) == (0.5, 0.5)


@pytest.mark.parametrize("context", [(), (4,), (1, 2, 4)])
def test_a_context_without_a_match_falls_to_the_unigram(context):
    (found,) = model_of([[1, 2], [1]]).distributions([Context(context)])
    assert found.suffix_len == 0 and not found.is_sparse
    assert dict(zip(found.ids, found.probs, strict=True)) == {
        1: pytest.approx(2 / 3),
        2: pytest.approx(1 / 3),
    }


def test_rows_are_as_wide_as_a_neural_model_needs_them():
    model = model_of([[1, 2, 3]], vocab_size_of_rows=8)
    known, unknown = np.exp(model.next_logprobs([Context((1,)), Context((1, 7))]))
    assert known[2] == 1 and known.shape == (8,)
    assert unknown[1] == pytest.approx(1 / 3)
    with pytest.raises(UsageError, match="5 tokens, a model of 4 "):
        model_of([[1, 2, 3]], vocab_size_of_rows=4)


def test_greedy_text_is_the_corpus_to_its_end():
    document = [3, 1, 4, 1, 2, 3, 3, 2, 4, 4, 1, 1]
    model = model_of([document, [2, 2]])
    assert write_greedily(model, document[:3]) == [*document[3:], model.eos_id]


def test_greedy_text_over_an_index_on_the_disk_is_the_corpus_too(tmp_path):
    document = list(b"a pot still is the small apparatus that turns a weak wash into a strong spirit")
    with small_index(tmp_path, [[document], [list(b"another text")]], vocab_size=256) as index:
        model = InfinigramModel(index)
        assert write_greedily(model, document[:9], 100) == [*document[9:], 256]


def test_an_index_without_tokens_is_refused():
    with pytest.raises(UsageError, match="no tokens"):
        model_of([[], []])
