"""The filter's program, run step by step as the kernel would."""

import struct

import pytest

from potstill.sandbox.system_calls import PROCESSORS, filter_of

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
# What a worker must never reach, by number.
FORBIDDEN = {
    "x86_64": {
        "open": 2,
        "openat": 257,
        "socket": 41,
        "clone": 56,
        "fork": 57,
        "execve": 59,
        "kill": 62,
        "ptrace": 101,
        "prlimit64": 302,
        "clone3": 435,
        "io_uring_setup": 425,
    },
    "aarch64": {
        "openat": 56,
        "socket": 198,
        "clone": 220,
        "execve": 221,
        "kill": 129,
        "ptrace": 117,
        "clone3": 435,
    },
}


def verdict(program: bytes, audit_id: int, number: int) -> int:
    """What classic BPF returns for a call; `seccomp_data` begins with the number and the processor's kind."""
    steps = [struct.unpack_from("<HBBI", program, place) for place in range(0, len(program), 8)]
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == 0x20:
            loaded = {0: number, 4: audit_id}[value]
        elif code == 0x15:
            at += if_true if loaded == value else if_false
        else:
            assert code == 0x06
            return value


@pytest.mark.parametrize("name", PROCESSORS)
def test_only_what_is_named_passes(name):
    processor = PROCESSORS[name]
    program = filter_of(processor)
    passing = {number for number in range(1200) if verdict(program, processor.audit_id, number) == ALLOW}
    assert passing == set(processor.calls.values()) and not passing & set(FORBIDDEN[name].values())
    assert verdict(program, processor.audit_id, 500) == REFUSE
    # The x32 calls of x86-64 carry a bit of their own.
    assert all(verdict(program, processor.audit_id, number | 1 << 30) == REFUSE for number in passing)


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_call_of_another_processors_kind_kills(name):
    processor = PROCESSORS[name]
    for audit_id in (0, 0x40000003, 0x40000028):
        assert verdict(filter_of(processor), audit_id, processor.calls["read"]) == KILL
