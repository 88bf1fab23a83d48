"""Jinja templates that nobody vouches for, rendered in a worker process."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from potstill.errors import DamagedError, RefusedError, UsageError
from potstill.sandbox.limits import SandboxLimits
from potstill.sandbox.process import WorkerProcess, WorkerStopped

MAX_TEMPLATE_BYTES = 1 << 20
_MAX_MESSAGE_CHARS = 300


class TemplateRenderer:
    """Renders; its worker starts at the first text and may be used from any thread.

    Nothing a template does reaches further than its text: it cannot read, start or send anything, and beyond
    a second, 64 MiB or a million characters it is stopped. `now` stands for the time, as ISO writes it; None:
    the clock's.
    """

    def __init__(self, limits: SandboxLimits | None = None, *, now: str | None = None) -> None:
        self._worker = WorkerProcess(
            "potstill.sandbox.template_worker", ("jinja2", "markupsafe"), limits or SandboxLimits()
        )
        self._now = now

    def render(self, template: str, variables: Sequence[Mapping[str, Any]]) -> list[str]:
        """The template's text for each of `variables`, which are what JSON can say.

        UsageError where the template itself refuses them, RefusedError where it was stopped, DamagedError
        where it is no template or fails.
        """
        if len(template) > MAX_TEMPLATE_BYTES:
            raise DamagedError(
                f"The chat template has {len(template):,} characters, more than any has "
                f"({MAX_TEMPLATE_BYTES:,}). Fetch the model again."
            )
        request = {"template": template, "variables": list(variables), "now": self._now}
        try:
            reply = self._worker.call(request)
        except WorkerStopped as error:
            _raise("limit", str(error))
        texts = reply.get("texts")
        if isinstance(texts, list) and [*map(type, texts)] == [str] * len(variables):
            return texts
        _raise(str(reply.get("error")), str(reply.get("message")))

    def held(self) -> list[str]:
        """What the worker is confined by, by name."""
        return self._worker.held()

    def process_id(self) -> int:
        """The worker's, which is started where there is none."""
        return self._worker.process_id()

    def close(self) -> None:
        """End the worker; a next text starts another."""
        self._worker.close()


def _raise(kind: str, message: str) -> NoReturn:
    told = " ".join(message.split())[:_MAX_MESSAGE_CHARS].rstrip(".")
    if kind == "refusal":
        raise UsageError(f"The model's chat template refuses these messages: {told}.")
    if kind in ("limit", "forbidden"):
        raise RefusedError(
            f"The model's chat template was stopped: {told}. Do not use this template; give another one."
        )
    raise DamagedError(
        f"The model's chat template fails ({told}). Fetch the model again, or give another one."
    )
