"""What a worker does with itself before anything untrusted runs. Imported by workers only."""

import os
import resource
import sys
import time

from potstill.sandbox.limits import SandboxLimits
from potstill.sandbox.system_calls import allow_only_computing


def confine(limits: SandboxLimits) -> list[str]:
    """Give up, for good, what this process will not need; returns the names of what holds from now on.

    Missing in the list is what a system does not have: macOS limits no address space, and only Linux has the
    filter of system calls.
    """
    # Reads the time zone's file, which cannot be opened later.
    time.localtime()
    held = [name for name, number, most in _resource_limits(limits) if _hold(number, most)]
    if sys.platform == "linux" and allow_only_computing():
        held.append("system calls")
    return held


def _resource_limits(limits: SandboxLimits) -> list[tuple[str, int, int]]:
    found = [
        ("processor time", resource.RLIMIT_CPU, limits.cpu_s),
        ("core files", resource.RLIMIT_CORE, 0),
        ("file size", resource.RLIMIT_FSIZE, 0),
        ("processes", resource.RLIMIT_NPROC, 0),
        ("open files", resource.RLIMIT_NOFILE, 0),
    ]
    if sys.platform == "linux":
        # First, because it is read from a file.
        found.insert(0, ("memory", resource.RLIMIT_AS, _address_space_bytes() + limits.memory_bytes))
    return found


def _address_space_bytes() -> int:
    """What this process has, on Linux."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _hold(number: int, most: int) -> bool:
    try:
        resource.setrlimit(number, (most, most))
    except (ValueError, OSError):
        return False
    return True
