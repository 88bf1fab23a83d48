"""Names resolved by a fresh process, with the variables that a user would set."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from stand_in_hub import StandInHub


class Answers(NamedTuple):
    lines: list[dict[str, Any]]
    stderr: str


class Asker:
    """Resolves names in a fresh process, with one home for all that it keeps."""

    def __init__(self, home: Path, hub: StandInHub) -> None:
        self.home, self.hub = home, hub

    def __call__(self, *names: str, **variables: str) -> Answers:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        variables = {"HF_ENDPOINT": self.hub.address, "XDG_CACHE_HOME": str(self.home / "cache"), **variables}
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("resolve_in_a_process.py")), *names],
            env={**kept, "HOME": str(self.home), "HF_HOME": str(self.home / "hf"), **variables},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return Answers([json.loads(line) for line in done.stdout.splitlines()], done.stderr)
