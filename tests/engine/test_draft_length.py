import pytest

from potstill.engine.draft_length import DraftLength


def test_the_threshold_follows_what_is_kept_by_the_rule():
    length = DraftLength()
    assert length.threshold == 0.4
    length.learn((0.9, 0.8, 0.7), 2)  # kept until 0.72
    assert length.threshold == pytest.approx((0.4 + 0.72) / 2)
    length.learn((0.9, 0.8), 2)
    assert length.threshold == pytest.approx(0.46)
    length.learn((0.9, 0.8), 0)
    assert length.threshold == pytest.approx((0.46 + 1) / 2)


def test_the_threshold_stays_where_a_draft_can_begin_and_end():
    length = DraftLength()
    for _ in range(20):
        length.learn((0.9,), 1)
    assert length.threshold == 0.05
    for _ in range(20):
        length.learn((0.9,), 0)
    assert length.threshold == 0.95
