"""The plan of steps, and the examples set aside."""

import pytest

from potstill.errors import ConfigError
from potstill.training.plan import plan_steps, split_examples
from potstill.training.settings import TrainingSettings


def test_each_epoch_trains_every_example_once(examples):
    steps = plan_steps(examples, TrainingSettings(batch_tokens=64, accumulation=3, epochs=2))
    seen = sorted(index for step in steps for batch in step.batches for index in batch)
    assert seen == sorted(2 * list(range(len(examples))))
    assert sum(step.num_tokens for step in steps) == 2 * sum(example.num_tokens for example in examples)
    assert sum(step.num_targets for step in steps) == 2 * sum(len(e.target_ids) for e in examples)


def test_max_steps_counts_optimizer_steps(examples):
    steps = plan_steps(examples, TrainingSettings(batch_tokens=64, accumulation=3, max_steps=11))
    assert len(steps) == 11
    assert all(len(step.batches) == 3 for step in steps)


def test_a_shorter_plan_is_the_beginning_of_a_longer_one(examples):
    short = plan_steps(examples, TrainingSettings(batch_tokens=64, max_steps=4))
    assert short == plan_steps(examples, TrainingSettings(batch_tokens=64, max_steps=20))[:4]


def test_the_split_sets_a_share_aside_and_loses_nothing(examples):
    split = split_examples(examples, TrainingSettings(validation_share=0.25))
    assert len(split.validation) == 10
    assert sorted(split.training + split.validation) == sorted(examples)


def test_too_few_examples_to_set_any_aside(examples):
    with pytest.raises(ConfigError, match="too few to set aside"):
        split_examples(examples[:1], TrainingSettings(validation_share=0.1))
