"""Functions that workers import: what the executors are tested with."""

import os
import signal
import time
from pathlib import Path

from potstill.errors import RefusedError


def square(number):
    return number * number


def process_id(_):
    return os.getpid()


def square_slowly_at_first(number):
    time.sleep(0.05 if number == 0 else 0)
    return number * number


def refuse_three(number):
    if number == 3:
        raise RefusedError("3 is refused.")
    return number


def divide_by(number):
    return 1 / number


def open_file(path):
    with open(path) as file:
        return file.read()


def give_a_lambda(_):
    return lambda: None


class Unreadable:
    """Can be packed, and not unpacked."""

    def __reduce__(self):
        return int, ("no number",)


def give_what_cannot_be_unpacked(_):
    return Unreadable()


def say_only_words(_):
    raise OSError("not a gzipped file")


class Panic(BaseException):
    """As an extension in Rust raises it: no `Exception`."""


def panic(_):
    raise Panic("index out of bounds")


def leave(_):
    raise SystemExit(3)


def squares_by_others(number):
    """Work that hands out work."""
    from potstill.executors.local import Processes

    with Processes(2) as others:
        return others.map(square, range(number))


def die_once(path):
    """Killed at the first call with this path, its name at the second."""
    if Path(path).exists():
        return Path(path).name
    Path(path).touch()
    os.kill(os.getpid(), signal.SIGKILL)


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def note_and_sleep(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)


class Counter:
    """An object to settle: it adds what it is asked to add."""

    def __init__(self, start):
        if start < 0:
            raise RefusedError("A counter starts at 0 or above.")
        self.value = start

    def add(self, amount):
        self.value += amount
        return self.value

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def close(self):
        pass


def environment(names):
    return [os.environ.get(name) for name in names]


def read_when_there(path, within_s=30):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


def wait_until_gone(pid, within_s=20):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            # An orphan that has ended may wait for its reaper.
            if Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text():
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")


def descendants(pid):
    """Processes that this one started, and those that they did."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)
