"""A run of four stages in a process of its own, killed where the test says. Run as a script by the tests.

    crash_driver.py RUN_FOLDER                    run to the end
    crash_driver.py RUN_FOLDER --count            run to the end and print how many points there are
    crash_driver.py RUN_FOLDER --kill-at N        SIGKILL before the N-th point
    crash_driver.py RUN_FOLDER --full-at N        from the N-th point on the disk is full; ends with 4
    crash_driver.py RUN_FOLDER --slow             run with a little sleep in every chunk, for kills at random

A point is any call that changes the disk: opening a file for writing, a write's fsync, a rename, a link, an
unlink, making a folder, and every statement of the ledger.
"""

import builtins
import errno
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from potstill.errors import DiskFull
from potstill.files import write_json
from potstill.progress import Silent
from potstill.runs.execute import execute
from potstill.runs.stage import Stage, StageContext

NUM_CHUNKS = 3
STAGES = ("contexts", "candidates", "pairs", "report")


def make_stage(index: int, pause_s: float) -> Stage:
    needs = STAGES[:index]

    def run(context: StageContext) -> None:
        for number, path in context.chunks(NUM_CHUNKS, ".json"):
            time.sleep(pause_s)
            read = [(folder / "all.json").read_text() for folder in context.inputs.values()]
            write_json(path, {"number": number, "seed": context.seed, "read": [len(text) for text in read]})
        chunks = [json.loads(path.read_text()) for path in context.chunk_paths(NUM_CHUNKS, ".json")]
        write_json(context.folder / "all.json", chunks)
        for number, chunk in enumerate(chunks):
            context.record(f"chunk {number}", chunk["number"])

    publishes = ("all.json",) if index == len(STAGES) - 1 else ()
    return Stage(STAGES[index], 1, {"index": index}, needs, run, publishes=publishes)


class Points:
    def __init__(self, kill_at: int | None, full_at: int | None) -> None:
        self.count, self._kill_at, self._full_at = 0, kill_at, full_at

    def reach(self) -> None:
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1
        if self._full_at is not None and self.count > self._full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def reached(*arguments: Any, **options: Any) -> Any:
            self.reach()
            return call(*arguments, **options)

        return reached

    def before_opening(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def reached(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if set(mode) & set("wax+"):
                self.reach()
            return call(file, mode, *arguments, **options)

        return reached

    def install(self) -> None:
        names = ["fsync", "replace", "mkdir", "symlink", "ftruncate", "pwrite"]
        # A full disk still lets files be removed.
        names += ["unlink"] if self._full_at is None else []
        for name in names:
            setattr(os, name, self.before(getattr(os, name)))
        builtins.open = self.before_opening(builtins.open)
        if self._full_at is not None:
            return
        connect = sqlite3.connect

        def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **options)
            connection.set_trace_callback(lambda statement: self.reach())
            return connection

        sqlite3.connect = traced  # type: ignore[assignment]


def main() -> None:
    folder, options = Path(sys.argv[1]), sys.argv[2:]
    kill_at = int(options[1]) if "--kill-at" in options else None
    full_at = int(options[1]) if "--full-at" in options else None
    points = Points(kill_at, full_at)
    if "--count" in options or kill_at is not None or full_at is not None:
        points.install()
    pause_s = 0.02 if "--slow" in options else 0.0
    try:
        execute([make_stage(index, pause_s) for index in range(len(STAGES))], folder, 7, Silent())
    except OSError as error:
        sys.exit(4 if error.errno == errno.ENOSPC else 1)
    except DiskFull as error:
        sys.exit(error.exit_code)
    print(points.count)


if __name__ == "__main__":
    main()
