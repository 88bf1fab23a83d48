import time

import pytest
import torch

from potstill import peaks
from potstill.errors import ConfigError
from potstill.progress import Silent


@pytest.fixture
def small(monkeypatch):
    """Sizes at which a test costs little; the figures then mean nothing."""
    monkeypatch.setattr(peaks, "cache_bytes", lambda: 0)
    monkeypatch.setattr(peaks, "_SMALLEST_READ_BYTES", 1 << 20)
    monkeypatch.setattr(peaks, "_INPUTS", 128)


def test_every_rate_is_measured_and_the_threads_are_given_back(small):
    before = torch.get_num_threads()
    found = peaks.measure_peaks(1, budget_s=0.01)
    assert found.num_threads == 1 and torch.get_num_threads() == before
    assert set(found.flops_per_s) == {"fp32", "bf16", "int8"}
    assert found.read_bytes_per_s > 1e6 and min(found.flops_per_s.values()) > 1e6


def test_a_wrong_number_of_threads_is_refused(small):
    with pytest.raises(ConfigError, match="threads is 0"):
        peaks.measure_peaks(0)


def test_the_rate_is_that_of_the_median_round():
    waits = iter([0.0, 0.001, 0.05, 0.01, 0.01])
    rate = peaks._rate(lambda: time.sleep(next(waits)), 1000, seconds=0.06)
    assert 50_000 < rate < 101_000


def test_reading_is_about_as_fast_by_a_second_method(monkeypatch):
    """A product of a vector with itself reads the same bytes; a busy machine may halve one of the two."""
    monkeypatch.setattr(peaks, "cache_bytes", lambda: 0)
    vector = torch.ones(64 << 20)
    by_sum = peaks._read_rate(0.1)
    by_product = peaks._rate(lambda: vector.dot(vector), 4 * len(vector), 0.1)
    assert 0.2 < by_sum / by_product < 5


def test_what_is_measured_is_told(small):
    class Recorder(Silent):
        count = 0

        def task(self, name, total, unit, *, done=0):
            self.count += 1
            assert total == 4
            return super().task(name, total, unit)

    recorder = Recorder()
    peaks.measure_peaks(1, budget_s=0.01, progress=recorder)
    assert recorder.count == 1


def test_the_last_level_cache_is_the_largest_that_the_system_names(tmp_path, monkeypatch):
    for name, size in (("index0", "48K"), ("index3", "32M")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "size").write_text(f"{size}\n")
    monkeypatch.setattr(peaks, "_CACHES", tmp_path)
    assert peaks.cache_bytes() == 32 << 20
    monkeypatch.setattr(peaks, "_CACHES", tmp_path / "none")
    assert peaks.cache_bytes() == 0
