import time

import pytest

from potstill.meters import measuring, peak_bytes


def test_a_block_is_measured_by_time_and_memory() -> None:
    before = peak_bytes()
    with measuring() as measured:
        block = bytearray(64 << 20)
        time.sleep(0.05)
        assert block
    assert measured.seconds >= 0.05
    assert 0 < measured.cpu_seconds < 60
    assert measured.peak_bytes >= 64 << 20
    assert before > 0


def test_figures_stand_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), measuring() as measured:
        raise ZeroDivisionError
    assert measured.peak_bytes > 0
