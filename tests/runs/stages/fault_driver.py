"""The command `potstill` with a fault at a chosen point of a stage. Run as a script by the tests.

It imports everything once, then reads a request a line and forks a child for each, so that a command costs
what it computes and not the start of Python and torch. A request is JSON:

    arguments  of `potstill`
    output     a folder for `stdout`, `stderr` and, of a command without fault, `points.json`: how many points
               each stage has
    place      null, or the folder it runs in
    fault      null, or [stage, point, signal]: SIGKILL or another signal before that point of the stage;
               signal 0 is a disk that is full from there on

With `--bf16` models compute in bfloat16, otherwise in float32, whatever this machine is faster at.
A point is a call that changes the disk, as in crash_driver.py. The answer is the exit status.
"""

import errno
import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from runs.crash_driver import Points

DISK_FULL = 0


class StagePoints(Points):
    """Counts the points of each stage apart; those before the first stage are of ''."""

    def __init__(self, fault: list[Any] | None) -> None:
        is_full = fault is not None and fault[2] == DISK_FULL
        super().__init__(None, 0 if is_full else None)
        self.stage, self.counts = "", dict[str, int]()
        self._fault, self._is_full = fault, False

    def reach(self) -> None:
        count = self.counts.get(self.stage, 0)
        self.counts[self.stage] = count + 1
        if self._fault and self._fault[:2] == [self.stage, count]:
            self._strike(self._fault[2])
        if self._is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _strike(self, number: int) -> None:
        if number == DISK_FULL:
            self._is_full = True
        else:
            os.kill(os.getpid(), number)

    def install(self) -> None:
        from potstill.runs import execute

        run_stage = execute._run_stage

        def named(stage: Any, *arguments: Any) -> None:
            self.stage = stage.name
            run_stage(stage, *arguments)

        execute._run_stage = named  # type: ignore[assignment]
        super().install()


def call(request: dict[str, Any]) -> int:
    from potstill.cli.main import main

    output = Path(request["output"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    if request["place"]:
        os.chdir(request["place"])
    points = StagePoints(request["fault"])
    points.install()
    code = 0
    try:
        main(request["arguments"])
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    if request["fault"] is None:
        (output / "points.json").write_text(json.dumps(points.counts))
    return code


def import_what_stages_import() -> None:
    """Seconds that each child would spend again: what the stages import where they use it, or what that
    imports in its turn (an optimizer imports torch._dynamo)."""
    for name in (
        "torch._dynamo",
        "safetensors.torch",
        "pyarrow.parquet",
        "rouge_score.tokenize",
        "nltk.stem.porter",
    ):
        import_module(name)


def serve() -> None:
    import potstill.devices

    import_what_stages_import()
    # A measurement, which two processes on a busy machine may answer differently. Before others import it.
    potstill.devices.bf16_is_faster = lambda device_type="cpu": "--bf16" in sys.argv  # type: ignore[assignment]
    import potstill.cli.app
    import potstill.cli.running
    import potstill.cli.writing
    import potstill.runs.stages.distill

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(call(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
