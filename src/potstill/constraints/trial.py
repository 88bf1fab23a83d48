"""Whether a grammar can be used, found out in a process of its own: what explodes is killed there."""

import signal

from potstill.constraints.limits import TRIAL_BYTES, TRIAL_CPU_S
from potstill.errors import MissingError
from potstill.sandbox.limits import SandboxLimits
from potstill.sandbox.process import WorkerProcess, WorkerStopped

# A grammar's time is of the processor; where others have it, this ends the wait.
_PATIENCE_S = 10.0
_LIMITS = SandboxLimits(wall_s=_PATIENCE_S, memory_bytes=TRIAL_BYTES)


class Trial:
    """The worker is started with the first grammar, and again after one that killed it; it ends with this."""

    def __init__(self) -> None:
        self._worker = WorkerProcess("potstill.constraints.trial_worker", ("llguidance",), _LIMITS)

    def start(self) -> int:
        """Start the worker now if there is none, which takes a tenth of a second; its process id."""
        return self._worker.process_id()

    def objection(self, grammar: str) -> str | None:
        """What is said against a grammar as llguidance takes it; None where it can be used."""
        try:
            return self._ask(grammar)
        except WorkerStopped as error:
            if error.exit_code != -signal.SIGKILL:
                return _cause(error)
        # Somebody ended it, most often the system where memory ran out; the grammar need not be why.
        try:
            return self._ask(grammar)
        except WorkerStopped as error:
            return _cause(error)

    def _ask(self, grammar: str) -> str | None:
        told: str | None = self._worker.call({"grammar": grammar})["objection"]
        return told


def _cause(stopped: WorkerStopped) -> str:
    if stopped.exit_code in (None, -signal.SIGPROF, -signal.SIGALRM, -signal.SIGXCPU):
        return f"making it ready takes more than {TRIAL_CPU_S} s"
    if stopped.exit_code in (-signal.SIGSEGV, -signal.SIGBUS):
        return "its rules lead from one to the next too deeply"
    if stopped.exit_code == -signal.SIGABRT:
        return "making it ready takes too much memory"
    raise MissingError(
        f"The process that grammars are tried in gave no answer ({stopped}). Most often memory ran out: "
        f"free some, then try again."
    ) from None
