"""Packing: every example once, nothing too full, the same for the same seed and epoch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import ConfigError
from potstill.tasks.example import Example, check_example
from potstill.tasks.packing import pack, pack_batch, plan_batches

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=80)


@given(lengths=LENGTHS, batch_tokens=st.integers(50, 200), seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_every_example_is_in_exactly_one_batch_and_no_batch_overflows(lengths, batch_tokens, seed, epoch):
    batches = plan_batches(lengths, batch_tokens, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(0 < sum(lengths[index] for index in batch) <= batch_tokens for batch in batches)


def test_the_plan_is_a_function_of_seed_and_epoch():
    lengths = [5 + index % 7 for index in range(100)]
    plan = plan_batches(lengths, 64, seed=3, epoch=1)
    assert plan == plan_batches(lengths, 64, seed=3, epoch=1)
    assert plan != plan_batches(lengths, 64, seed=3, epoch=2)
    assert plan != plan_batches(lengths, 64, seed=4, epoch=1)


def test_batches_of_an_epoch_are_of_nearly_one_size():
    lengths = [20 + index * 7 % 40 for index in range(500)]
    sizes = [sum(lengths[index] for index in batch) for batch in plan_batches(lengths, 2048, 0, 0)]
    assert len(sizes) == -(-sum(lengths) // 2048)
    assert max(sizes) - min(sizes) < 120


def test_a_batch_lays_examples_end_to_end_without_the_last_target():
    batch = pack_batch([Example((1, 2, 3), (4, 5)), Example((6,), (7, 8, 9))])
    assert batch.token_ids.tolist() == [1, 2, 3, 4, 6, 7, 8]
    assert batch.lengths == (4, 3)
    assert batch.loss_positions.tolist() == [2, 3, 4, 5, 6]
    assert batch.labels.tolist() == [4, 5, 7, 8, 9]


def test_each_label_follows_its_position():
    examples = [Example((10 + i, 20 + i), tuple(range(30, 31 + i % 3))) for i in range(9)]
    for batch in pack(examples, batch_tokens=12, seed=0, epoch=0):
        for position, label in zip(batch.loss_positions.tolist()[:-1], batch.labels.tolist(), strict=False):
            following = batch.token_ids[position + 1].item()
            assert following == label or following < 30  # the next example's prompt begins there


def test_an_example_that_fits_no_batch_is_named():
    with pytest.raises(ConfigError, match="Example 1 has 9 tokens and batch_tokens is 8"):
        plan_batches([3, 9], 8, 0, 0)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (Example((), (1,)), "empty prompt"),
        (Example((1,), ()), "empty target"),
        (Example((1, 50), (1,)), "token ids from 1 to 50"),
        (Example((1,), (-1,)), "token ids from -1 to -1"),
    ],
)
def test_an_example_outside_the_vocabulary_is_refused(example, message):
    with pytest.raises(ConfigError, match=message):
        check_example(example, 0, vocab_size=50)
