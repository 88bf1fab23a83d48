"""What this machine computes with, and how many threads of it are used.

Torch is imported inside the functions: commands that only look at files come through here too.
"""

import ctypes
import gc
import os
import platform
import re
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import ConfigError, DeviceMissing

if TYPE_CHECKING:
    import torch

# Far more than help; asked for some ten thousand, the system refuses and native libraries crash.
MAX_THREADS = 1024
_LEAST_BUDGET_BYTES = 16 << 20
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])?(i)?B?", re.IGNORECASE)
_BENCH_WIDTH = 640
_BENCH_ROWS = 256


def available_cores() -> int:
    """Cores this process may run on, which a container or `taskset` may have narrowed."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_threads() -> int:
    """OMP_NUM_THREADS where it is set, else every core this process may use."""
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if not text:
        return available_cores()
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"OMP_NUM_THREADS is {text!r}; it must be a whole number of at least 1.")
    return int(text)


def use_threads(count: int | None = None) -> int:
    """Set how many threads torch and the kernels use, `num_threads()` unless told; returns the count."""
    import torch

    chosen = num_threads() if count is None else count
    if not 1 <= chosen <= MAX_THREADS:
        raise ConfigError(f"threads is {chosen}; it must be in [1, {MAX_THREADS}].")
    torch.set_num_threads(chosen)
    return chosen


def default_device(name: str | None = None) -> "torch.device":
    """The named device, or else a CUDA device, Apple's, or the CPU: the first that is there."""
    import torch

    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"There is no kind of device {name!r}; use cpu, cuda, cuda:N or mps.") from None
    if not _is_there(device):
        raise DeviceMissing(f"This machine has no device {name!r}. Leave --device out to use what it has.")
    return device


@cache
def bf16_is_faster(device_type: str = "cpu") -> bool:
    """Whether a product of matrices takes less time in bfloat16 than in float32; measured once a process."""
    import torch

    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device_type != "cpu":
        return False
    return _product_seconds(torch.bfloat16) < _product_seconds(torch.float32)


@cache
def cpu_features() -> tuple[str, ...]:
    """The vector extensions that matter here, as Linux names them; empty where it cannot be told."""
    wanted = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16", "i8mm")
    flags = set(_proc_field("flags").split()) | set(_proc_field("Features").split())
    return tuple(name for name in wanted if name in flags)


def memory_bytes() -> tuple[int, int]:
    """Memory this process may use, in all and free: the machine's, or its control group's if that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = total
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limits = [int(text) for text in _lines(Path("/sys/fs/cgroup/memory.max")) if text.isdecimal()]
    used = [int(text) for text in _lines(Path("/sys/fs/cgroup/memory.current")) if text.isdecimal()]
    if limits and limits[0] < total:
        total, free = limits[0], min(free, limits[0] - (used[0] if used else 0))
    return total, free


def memory_budget(asked: str | None = None) -> int:
    """Bytes of memory a build may hold: `4GB`, `500MiB` or a plain number; half of what is free if not asked.

    K, M, G and T are powers of 1000, Ki, Mi, Gi and Ti of 1024; the B may be left out.
    """
    if asked is None:
        return max(memory_bytes()[1] // 2, _LEAST_BUDGET_BYTES)
    found = _AMOUNT.fullmatch(asked)
    if found is None:
        raise ConfigError(f"{asked!r} is no amount of memory; write it as 4GB or 500MiB.")
    unit = 1024 if found[3] else 1000
    amount = int(float(found[1]) * unit ** " KMGT".index((found[2] or " ").upper()))
    if amount < _LEAST_BUDGET_BYTES:
        raise ConfigError(f"{asked!r} of memory is too little; a build needs at least 16MiB.")
    return amount


def release_memory(*, collects: bool = True) -> None:
    """Hand freed memory back to the system: after a training glibc keeps gigabytes of small pieces.

    collects: whether to look for what refers to itself only, which takes tenths of a second.
    """
    if collects:
        gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def describe_machine() -> dict[str, Any]:
    """Plain values for reports; `memory_bytes` is None where the system does not say."""
    import torch

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _proc_field("model name") or platform.processor() or platform.machine(),
        "num_cores": available_cores(),
        "num_threads": num_threads(),
        "memory_bytes": _memory_bytes(),
        "cpu_features": list(cpu_features()),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def _is_there(device: "torch.device") -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or (device.type == "mps" and torch.backends.mps.is_available())


def _product_seconds(dtype: "torch.dtype") -> float:
    import torch

    left = torch.ones(_BENCH_ROWS, _BENCH_WIDTH, dtype=dtype)
    right = torch.ones(_BENCH_WIDTH, 4 * _BENCH_WIDTH, dtype=dtype)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return min(times)


def _proc_field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next(
        (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), ""
    )


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
