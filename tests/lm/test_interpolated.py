import numpy as np
import pytest

from lm.naive_index import NaiveIndex
from potstill.errors import UsageError
from potstill.lm.context import Context
from potstill.lm.infinigram import InfinigramModel
from potstill.lm.interpolated import InterpolatedDecoder, InterpolatedModel
from potstill.lm.interpolation import Interpolation
from potstill.lm.table import TableModel

WEIGHTS = Interpolation(sparse=0.75, nonsparse=0.25)


@pytest.fixture
def table():
    return TableModel({(): [1, 2, 3], (1,): [0, 0, 1]})


def test_rows_are_the_weighted_sum_of_both_models(table):
    infinigram = InfinigramModel(NaiveIndex([[1, 2, 1, 2], [2, 2]], vocab_size=3))
    model = InterpolatedModel(infinigram, table, WEIGHTS)
    contexts = [Context((1,)), Context((1, 2)), Context(())]
    found = np.exp(model.next_logprobs(contexts))
    # After 1 only 2 comes (sparse); after 1 2 comes 1 or an end (EOS 0); all tokens: 1 twice, 2 four times.
    infinigram_rows = np.array([[0, 0, 1], [0.5, 0.5, 0], [0, 1 / 3, 2 / 3]])
    lambdas = np.array([[0.75], [0.25], [0.25]])
    neural_rows = np.exp(table.next_logprobs(contexts))
    np.testing.assert_allclose(found, lambdas * infinigram_rows + (1 - lambdas) * neural_rows, rtol=1e-5)


def test_without_weight_the_neural_model_speaks_alone(table):
    infinigram = InfinigramModel(NaiveIndex([[1, 2]], vocab_size=3))
    alone = InterpolatedModel(infinigram, table, Interpolation(0, 0))
    contexts = [Context((1,)), Context((2,))]
    np.testing.assert_array_equal(alone.next_logprobs(contexts), table.next_logprobs(contexts))


def test_vocabularies_of_different_sizes_are_refused(table, gemma):
    infinigram = InfinigramModel(NaiveIndex([[1, 2]], vocab_size=4))
    with pytest.raises(UsageError, match="4 tokens and the neural model 3"):
        InterpolatedModel(infinigram, table, WEIGHTS)
    with pytest.raises(UsageError, match="4 tokens and the neural model 61"):
        InterpolatedDecoder(infinigram, gemma, WEIGHTS)
