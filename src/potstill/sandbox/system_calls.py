"""A filter of system calls, on Linux: what is left is to compute, to read and to write what is open already.

No file can be opened, no process started, no connection made, no other process signalled; such a call fails
as if it were not permitted. The filter is one of seccomp's, in the classic BPF of the kernel's
Documentation/userspace-api/seccomp_filter.rst; a process cannot take it off again.
"""

import ctypes
import errno
import platform
import struct
from typing import NamedTuple

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
# Where `struct seccomp_data` holds the number of the call and the processor's kind.
_NUMBER_AT, _PROCESSOR_AT = 0, 4


class Processor(NamedTuple):
    """`calls` are the numbers, on this processor, of what a computing Python asks for; `seccomp` is the
    number of the call that puts a filter on."""

    audit_id: int
    seccomp: int
    calls: dict[str, int]


PROCESSORS = {
    "x86_64": Processor(
        0xC000003E,
        317,
        {
            "read": 0,
            "write": 1,
            "close": 3,
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "brk": 12,
            "rt_sigaction": 13,
            "rt_sigprocmask": 14,
            "rt_sigreturn": 15,
            "sched_yield": 24,
            "mremap": 25,
            "madvise": 28,
            "setitimer": 38,
            "getpid": 39,
            "exit": 60,
            "gettimeofday": 96,
            "getrusage": 98,
            "gettid": 186,
            "futex": 202,
            "clock_gettime": 228,
            "exit_group": 231,
            "getrandom": 318,
        },
    ),
    "aarch64": Processor(
        0xC00000B7,
        277,
        {
            "close": 57,
            "read": 63,
            "write": 64,
            "exit": 93,
            "exit_group": 94,
            "futex": 98,
            "setitimer": 103,
            "clock_gettime": 113,
            "sched_yield": 124,
            "rt_sigaction": 134,
            "rt_sigprocmask": 135,
            "rt_sigreturn": 139,
            "getrusage": 165,
            "gettimeofday": 169,
            "getpid": 172,
            "gettid": 178,
            "brk": 214,
            "munmap": 215,
            "mremap": 216,
            "mmap": 222,
            "mprotect": 226,
            "madvise": 233,
            "getrandom": 278,
        },
    ),
}


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def allow_only_computing() -> bool:
    """Whether the filter holds from now on, for all threads of this process.

    False for a processor that is not known here and a kernel that filters nothing.
    """
    processor = PROCESSORS.get(platform.machine())
    if processor is None:
        return False
    content = filter_of(processor)
    program = _Program(len(content) // 8, content)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    numbers = (ctypes.c_long(number) for number in (processor.seccomp, _SET_MODE_FILTER, _ALL_THREADS))
    # A number above 0 names a thread that could not be held.
    return bool(libc.syscall(*numbers, ctypes.byref(program)) == 0)


def filter_of(processor: Processor) -> bytes:
    """Eight bytes an instruction: a call of another processor's kind kills, one of `calls` passes.

    The x32 calls of x86-64 have numbers of their own, so they are refused like any other.
    """
    numbers = sorted(processor.calls.values())
    steps = [
        _step(_LOAD, _PROCESSOR_AT),
        _step(_JUMP_IF_EQUAL, processor.audit_id, if_true=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
    ]
    for place, number in enumerate(numbers):
        # Over the rest of the comparisons and the refusal.
        steps.append(_step(_JUMP_IF_EQUAL, number, if_true=len(numbers) - place))
    return b"".join([*steps, _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, if_true: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, 0, value)
