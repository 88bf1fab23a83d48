import numpy as np
import pytest

from potstill.errors import ConfigError
from potstill.lm.context import Context
from potstill.lm.table import TableModel


def test_the_longest_suffix_with_a_row_decides():
    model = TableModel({(): [1, 1, 2], (2,): [0, 1, 0], (1, 2): [1, 0, 0]})
    probs = np.exp(model.next_logprobs([Context(()), Context((0, 2)), Context((0,), (1, 2))]))
    np.testing.assert_allclose(probs, [[0.25, 0.25, 0.5], [0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize("rows", [{(1,): [1, 1]}, {(): [1, 1], (0,): [1]}, {(): [0, 0]}, {(): [-1, 2]}])
def test_a_table_that_is_no_distribution_is_refused(rows):
    with pytest.raises(ConfigError):
        TableModel(rows)
