import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.naive_index import NaiveIndex
from potstill.errors import ConfigError, UsageError
from potstill.lm.context import Context
from potstill.lm.document_scoring import (
    WindowSettings,
    neural_logprobs,
    require_vocabulary,
    score_documents,
    windows,
)
from potstill.lm.infinigram import InfinigramModel

SMALL = WindowSettings(window_tokens=12, overlap_tokens=3)


def some_documents(sizes=(30, 0, 5, 11, 12, 1), vocab_size=61):
    rng = random.Random(8)
    return [[rng.randrange(vocab_size) for _ in range(size)] for size in sizes]


@given(st.integers(0, 200), st.integers(2, 40), st.integers(0, 1), st.data())
def test_windows_score_every_token_once_with_the_overlap_before_them(num_tokens, size, first, data):
    overlap = data.draw(st.integers(first, size // 2))
    found = list(windows(num_tokens, size, overlap, first))
    scored = [at for window in found for at in range(window.start, window.stop)]
    assert scored == list(range(first, num_tokens))
    assert all(window.stop - window.context_start <= size for window in found)
    assert all(window.start - window.context_start == min(overlap, window.start) for window in found)


def test_each_token_is_scored_after_those_before_it_in_its_window(gemma):
    """Eleven tokens and a BOS a window; a later one begins three tokens early."""
    for ids, found in zip(some_documents(), neural_logprobs(gemma, some_documents(), SMALL), strict=True):
        assert len(found) == len(ids)
        for window in windows(len(ids), 11, 3):
            for at in range(window.start, window.stop):
                context = Context(tuple(ids[window.context_start : at]))
                expected = gemma.next_logprobs([context])[0, ids[at]]
                assert found[at] == pytest.approx(expected, abs=1e-3)


def test_a_window_is_never_longer_than_the_models_context(gemma):
    (document,) = some_documents(sizes=(100,))
    (found,) = neural_logprobs(gemma, [document], WindowSettings(window_tokens=4096, overlap_tokens=50))
    assert len(found) == 100 and np.isfinite(found).all()


@pytest.mark.parametrize("num_prepended", [0, 1])
def test_a_context_of_one_position_scores_nothing(num_prepended):
    model = SimpleNamespace(max_positions=1, num_prepended=num_prepended)
    with pytest.raises(UsageError, match="context has 1 positions"):
        neural_logprobs(model, [[1, 2, 3]])


def test_both_models_score_the_same_tokens_and_the_end_only_when_asked(gemma):
    documents = some_documents()
    infinigram = InfinigramModel(NaiveIndex([documents[0] + [7], documents[2]], vocab_size=61, eos_id=5))
    for with_end in (False, True):
        scores = score_documents(infinigram, gemma, documents, SMALL, with_end=with_end)
        assert [one.num_tokens for one in scores] == [len(ids) + with_end for ids in documents]
    # The third document is in the index and ends there.
    assert scores[2].infinigram_probs[-1] == 1 and scores[2].is_sparse[-1]
    assert scores[0].infinigram_probs[-1] == 0
    end_of_third = gemma.next_logprobs([Context(tuple(documents[2]))])[0, 5]
    assert scores[2].neural_logprobs[-1] == pytest.approx(end_of_third, abs=1e-3)


@pytest.mark.parametrize("overlap", [0, 3])
def test_without_a_bos_the_first_token_is_left_out_of_both_models(llama, overlap):
    documents = some_documents()
    infinigram = InfinigramModel(NaiveIndex(documents, vocab_size=61, eos_id=5))
    small = WindowSettings(window_tokens=12, overlap_tokens=overlap)
    for ids, found in zip(documents, score_documents(infinigram, llama, documents, small), strict=True):
        assert found.num_tokens == max(len(ids) - 1, 0)
        np.testing.assert_array_equal(found.infinigram_probs, infinigram.score(ids).probs[1:])
        for window in windows(len(ids), 12, max(overlap, 1), 1):
            for at in range(window.start, window.stop):
                expected = llama.next_logprobs([Context(tuple(ids[window.context_start : at]))])[0, ids[at]]
                assert found.neural_logprobs[at - 1] == pytest.approx(expected, abs=1e-3)


def test_another_vocabulary_is_refused():
    infinigram = InfinigramModel(NaiveIndex([[1]], vocab_size=3, fingerprint="ab"))
    require_vocabulary(infinigram, "ab")
    with pytest.raises(UsageError, match="another vocabulary"):
        require_vocabulary(infinigram, "cd")


@pytest.mark.parametrize(("window", "overlap"), [(1, 0), (10, 5), (10, -1)])
def test_windows_that_cannot_be_are_refused(window, overlap):
    with pytest.raises(ConfigError, match="must be"):
        WindowSettings(window_tokens=window, overlap_tokens=overlap)


def test_progress_counts_tokens(gemma):
    class Counted:
        count = 0

        def task(self, name, total, unit, *, done=0):
            self.total = total
            return self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def advance(self, count=1):
            self.count += count

    progress = Counted()
    neural_logprobs(gemma, some_documents(), SMALL, progress=progress)
    assert progress.count == progress.total == 59
    assert torch.is_grad_enabled()
