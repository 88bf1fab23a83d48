import math

import pytest

from potstill.engine.payoff import Chances, Payoff, TextPayoff


def payoff_where(**seconds_of_size):
    payoff = Payoff()
    for size, seconds in seconds_of_size.items():
        for _ in range(2):
            payoff.cost.note(int(size.removeprefix("_")), seconds)
    return payoff


def test_a_guess_costs_what_a_position_adds_in_tokens_of_a_plain_step():
    # A token costs 10 / 8 s, one of 24 positions more (16 - 10) / 24 s.
    assert payoff_where(_8=10.0, _32=16.0).price(8, 24) == pytest.approx(0.25 / 1.25)
    assert payoff_where(_1=10.0, _5=11.0).price(1, 4) == pytest.approx(0.025)
    assert payoff_where(_1=0.0).price(1, 4) == 0


def test_no_step_is_more_than_twice_as_large_as_any_before():
    assert payoff_where(_8=10.0).most_drafted(8) == 8 and payoff_where(_8=10.0, _20=1.0).most_drafted(8) == 32
    assert payoff_where(_2=10.0).most_drafted(4) == 1


def test_guesses_are_run_while_the_chance_that_all_of_them_are_kept_is_above_the_price():
    text = TextPayoff()
    assert text.num_worth([0.9, 0.8, 0.5], price=0.5, num_written=0) == 2
    assert text.num_worth([0.9, 0.8, 0.5], price=0.0, num_written=0) == 3
    assert text.num_worth([], price=0.5, num_written=0) == 0 and text.is_asked(0)


def test_a_draft_that_is_whole_is_worth_its_price_or_is_not_run():
    assert TextPayoff().num_worth([0.5] * 4, price=0.19, num_written=0, is_whole=True) == 4
    assert TextPayoff().num_worth([0.5] * 4, price=0.2, num_written=0, is_whole=True) == 0


def test_a_text_whose_guesses_are_not_worth_it_is_left_alone_twice_as_long_each_time():
    text, num_written, asked = TextPayoff(), 0, []
    while num_written < 200:
        if text.is_asked(num_written):
            asked.append(num_written)
            text.num_worth([0.1], price=0.5, num_written=num_written)
        num_written += 1
    assert asked == [0, 2, 5, 10, 19, 36, 69, 134, 199]
    text.num_worth([0.9], price=0.5, num_written=num_written)
    text.num_worth([0.1], price=0.5, num_written=num_written)
    assert text.is_asked(num_written + 2)


def test_a_text_that_keeps_less_than_others_is_thought_less_of():
    payoff, lucky, unlucky = payoff_where(_1=1.0), TextPayoff(), TextPayoff()
    for _ in range(10):
        payoff.learn(lucky, (0.85, 0.85), 2)
        payoff.learn(unlucky, (0.85, 0.85), 0)
    chances = [0.5] * 9
    assert lucky.num_worth(chances, 0.1, 0) > 3 > unlucky.num_worth(chances, 0.1, 0)


def test_what_a_drafter_claims_is_weighed_by_what_was_kept():
    chances = Chances()
    assert chances.of(0.87) == pytest.approx(0.85) and chances.of(0.3) == pytest.approx(0.35)
    for _ in range(100):
        chances.learn(0.87, is_kept=False)
    assert chances.of(0.82) < 0.2 and chances.of(0.79) == pytest.approx(0.75)
    assert all(0 < chances.of(prob) < 1 for prob in (-3.0, 0.0, 1.0, 5.0, math.nan, math.inf))


def test_drafts_that_cost_more_than_they_save_are_left_alone_longer_and_longer():
    payoff, asked = payoff_where(_1=1.0, _9=2.0), []
    for step in range(2000):
        if payoff.is_asked(1):
            asked.append(step)
            payoff.note_drafts(1, num_drafted=8, num_kept=0, draft_s=0.0)  # a step is lost
    # Three steps lose more than two, and a pause is fifty times as long as what was lost.
    assert asked[:7] == [0, 1, 2, 153, 154, 155, 306]
    assert len(asked) < 0.03 * 2000


def test_drafts_that_save_time_are_asked_for_always():
    payoff = payoff_where(_1=1.0, _9=2.0)
    for _ in range(500):
        assert payoff.is_asked(1)
        payoff.note_drafts(1, num_drafted=8, num_kept=2, draft_s=0.5)


def test_a_drafter_that_is_slow_does_not_pay_however_good_it_is():
    payoff = payoff_where(_1=1.0)
    num_asked = 0
    for _ in range(1000):
        if payoff.is_asked(1):
            num_asked += 1
            payoff.note_drafts(1, num_drafted=0, num_kept=1, draft_s=1.5)
    assert num_asked < 50


@pytest.mark.parametrize("slow_step", [0, 3])
def test_the_first_draft_of_a_text_may_take_long(slow_step):
    payoff = payoff_where(_1=1.0)
    for step in range(100):
        assert payoff.is_asked(1)
        payoff.note_drafts(1, num_drafted=1, num_kept=1, draft_s=30.0 if step == slow_step else 0.1)


def test_nothing_is_asked_before_a_plain_step_is_measured():
    payoff = Payoff()
    assert not payoff.is_asked(1)
    payoff.cost.note(1, 1.0)
    assert not payoff.is_asked(1)
    payoff.cost.note(1, 1.0)
    assert payoff.is_asked(1)


def test_where_guesses_find_no_memory_none_are_asked_for_longer_and_longer():
    payoff, asked = payoff_where(_1=1.0), []
    for step in range(500):
        if payoff.is_asked(1):
            asked.append(step)
            payoff.pause()
    assert asked == [0, 65, 194, 451]
