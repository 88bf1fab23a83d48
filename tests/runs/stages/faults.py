"""Commands in processes of their own, each with at most one fault; see fault_driver.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from runs.stages.tiny_run import command_environment

DRIVER = Path(__file__).with_name("fault_driver.py")
TESTS = DRIVER.parents[2]


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str
    points: dict[str, int]


class Faults:
    """Commands in processes of their own, each with at most one fault."""

    def __init__(self, recipe: Path, folder: Path, *options: str) -> None:
        self._recipe, self._output = recipe, folder / "output"
        self._output.mkdir()
        environment = command_environment(folder) | {"PYTHONPATH": str(TESTS)}
        self._process = subprocess.Popen(
            [sys.executable, str(DRIVER), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def distill(self, folder: Path, fault: tuple[str, int, int] | None = None) -> Ended:
        return self.call("distill", str(self._recipe), "--out", str(folder), fault=fault)

    def call(
        self, *arguments: str, fault: tuple[str, int, int] | None = None, place: Path | None = None
    ) -> Ended:
        """`potstill` with these arguments; `place` is the folder it runs in, where that matters."""
        assert self._process.stdin and self._process.stdout
        request = {"arguments": arguments, "output": str(self._output), "fault": fault}
        request["place"] = None if place is None else str(place)
        print(json.dumps(request), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        told = [(self._output / name).read_text() for name in ("stdout", "stderr")]
        points = self._output / "points.json"
        counts = json.loads(points.read_text()) if points.exists() else {}
        return Ended(code, *told, counts)

    def close(self) -> None:
        self._process.communicate()
