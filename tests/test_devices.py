import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from potstill import _native, devices
from potstill.devices import memory_budget, memory_bytes
from potstill.errors import ConfigError, DeviceMissing


@pytest.fixture
def threads_restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_threads_follow_the_environment_and_else_the_cores_of_this_process(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert devices.num_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert devices.num_threads() == devices.available_cores() >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    with pytest.raises(ConfigError, match="OMP_NUM_THREADS is 'many'"):
        devices.num_threads()


def test_torch_and_the_kernels_use_the_same_number_of_threads(threads_restored):
    for count in (1, 2):
        assert devices.use_threads(count) == count
        assert torch.get_num_threads() == count
        assert _native.max_threads() in (count, 1)
    with pytest.raises(ConfigError, match="threads is 0"):
        devices.use_threads(0)


def test_a_device_that_is_not_there_is_named():
    assert devices.default_device("cpu") == torch.device("cpu")
    assert devices.default_device().type in ("cpu", "cuda", "mps")
    with pytest.raises(DeviceMissing, match="cuda:99"):
        devices.default_device("cuda:99")
    with pytest.raises(ConfigError, match="'abacus'"):
        devices.default_device("abacus")


def test_a_machine_is_described_in_plain_values():
    machine = devices.describe_machine()
    assert machine["torch"] == torch.__version__
    assert machine["memory_bytes"] is None or machine["memory_bytes"] > 2**28
    assert isinstance(machine["cpu_features"], list)
    assert isinstance(devices.bf16_is_faster(), bool)


def test_importing_devices_leaves_torch_alone():
    code = "import sys, potstill.devices; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what was freed below a live piece")
def test_freed_memory_goes_back_to_the_system():
    pieces = [bytearray(64 * 1024) for _ in range(4000)]
    # The newest piece stays, so the heap cannot shrink from its end.
    newest = pieces.pop()
    pieces.clear()
    held = resident_bytes()
    devices.release_memory()
    assert resident_bytes() < held - (100 << 20)
    assert len(newest) == 64 * 1024


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("count", [0, -1, devices.MAX_THREADS + 1, 10**30])
def test_a_count_of_threads_that_would_crash_native_code_is_refused(count, threads_restored):
    with pytest.raises(ConfigError, match=r"must be in \[1, 1024\]"):
        devices.use_threads(count)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("4GB", 4 * 10**9),
        ("500MiB", 500 << 20),
        ("1.5g", 15 * 10**8),
        ("64 Mi", 64 << 20),
        ("20000000", 2 * 10**7),
    ],
)
def test_an_amount_of_memory_is_read_as_it_is_written(asked: str, wanted: int) -> None:
    assert memory_budget(asked) == wanted


@pytest.mark.parametrize("asked", ["", "much", "-4GB", "4XB", "1KB", "4GBit"])
def test_what_is_no_amount_of_memory_is_told(asked: str) -> None:
    with pytest.raises(ConfigError, match="memory"):
        memory_budget(asked)


def test_a_build_takes_half_of_the_free_memory_unless_told() -> None:
    assert 0 < memory_budget() <= memory_bytes()[0]
