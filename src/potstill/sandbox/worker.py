"""The loop of a worker: one JSON object a line comes in, one goes out. Runs in the worker only."""

import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from potstill.sandbox.confinement import confine
from potstill.sandbox.limits import SandboxLimits

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def serve(answer: Answer, limits: SandboxLimits) -> None:
    """Answer requests until stdin ends, which it does when the parent is gone.

    A request that takes too long ends the process from within too, so that one whose parent was killed in
    the middle of it does not go on.
    """
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    line = json.dumps({"held": confine(limits)}).encode()
    while True:
        replies.write(line + b"\n")
        replies.flush()
        asked = requests.readline(limits.request_bytes)
        if not asked.endswith(b"\n"):
            return
        # No handler: what the system does at this signal needs no interpreter that still listens.
        signal.setitimer(signal.ITIMER_REAL, limits.wall_s)
        reply = answer(json.loads(asked))
        line = json.dumps({**reply, "cpu_s": time.process_time()}, ensure_ascii=False).encode()
        signal.setitimer(signal.ITIMER_REAL, 0)
