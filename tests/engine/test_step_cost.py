import pytest

from potstill.engine.step_cost import StepCost


def measured(**seconds_of_size):
    cost = StepCost()
    for size, seconds in seconds_of_size.items():
        for _ in range(3):
            cost.note(int(size.removeprefix("_")), seconds)
    return cost


def test_between_what_was_measured_a_step_costs_what_a_straight_line_says():
    cost = measured(_1=1.0, _5=2.0)
    assert [cost.seconds(size) for size in (1, 3, 5)] == [1.0, 1.5, 2.0]
    assert cost.seconds(9) == pytest.approx(3.0)


def test_below_what_was_measured_a_step_costs_no_less_and_above_a_little_more():
    cost = measured(_4=1.0)
    assert cost.seconds(1) == 1.0 and cost.seconds(14) == pytest.approx(1.4)


def test_a_step_that_was_held_up_changes_nothing():
    cost = measured(_2=1.0)
    cost.note(2, 50.0)
    assert cost.seconds(2) == 1.0


def test_one_of_two_steps_that_was_held_up_changes_nothing_either():
    cost = StepCost()
    for seconds in (50.0, 1.0):
        cost.note(2, seconds)
    assert cost.seconds(2) == 1.0


def test_no_step_is_thought_to_take_longer_than_a_larger_one():
    cost = measured(_2=50.0, _6=3.0, _20=2.0, _40=4.0)
    assert [cost.seconds(size) for size in (2, 4, 6, 13, 20, 30)] == [2.0, 2.0, 2.0, 2.0, 2.0, 3.0]


def test_what_was_measured_long_ago_is_forgotten():
    cost = measured(_2=1.0, _20=1.5)
    for step in range(1100):
        cost.note(3, 5.0)
        assert cost.seconds(3) == (1.5 if step < 1023 else 5.0) or step < 2
    assert not cost.knows(20) and cost.greatest == 3


def test_texts_that_grow_are_followed():
    cost = measured(_2=1.0)
    for _ in range(7):
        cost.note(2, 3.0)
    assert cost.seconds(2) == 3.0


def test_sizes_are_known_that_were_measured_twice_or_lie_near():
    cost = StepCost()
    cost.note(10, 1.0)
    assert not cost.knows(10)
    cost.note(10, 1.0)
    assert [cost.knows(size) for size in (4, 5, 10, 20, 21)] == [False, True, True, True, False]
