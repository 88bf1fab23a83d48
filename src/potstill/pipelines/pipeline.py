"""A task and a model, called as transformers' pipelines are: a string, a list or a generator in."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from potstill.devices import release_memory
from potstill.errors import UsageError
from potstill.pipelines.arguments import flag, whole_number
from potstill.pipelines.held import CallTurn, Held
from potstill.pipelines.job import Call, Job
from potstill.pipelines.late_progress import late_task
from potstill.progress import Progress


class Pipeline:
    """Made by `potstill.pipeline`. Threads may share it: one call at a time, the others wait.

    model       as the caller named it
    batch_size  inputs of a generator that are taken at a time
    """

    def __init__(
        self,
        task: str,
        model: str,
        held: Held[Any],
        job: Job,
        batch_size: int,
        *,
        defaults: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        self.task, self.model, self.batch_size = task, model, batch_size
        self._held, self._job, self._progress = held, job, progress
        self._defaults = dict(defaults)
        self._turn = CallTurn()
        self._streams: WeakSet[Any] = WeakSet()
        # What is wrong with them is told now, and not in the first call.
        job.call(self._defaults)

    def __call__(self, *inputs: Any, **arguments: Any) -> Any:
        """One answer for one input, a list for a list, an iterator for any other iterable.

        `stream=True` gives an iterator over pieces of one input's text instead, `batch_size` says how many
        inputs of a generator are taken at a time; the other arguments are the task's own. UsageError for an
        argument the task has not, and after `close`.
        """
        self._held.model  # noqa: B018 - a closed pipeline says so before anything else
        asked, rest = self._job.inputs(inputs, arguments)
        batch_size = whole_number("batch_size", rest.pop("batch_size", self.batch_size))
        streams = flag("stream", rest.pop("stream", False))
        call = self._job.call(self._defaults | rest, rest)
        if isinstance(asked, list | tuple):
            if streams:
                raise UsageError("stream=True shows one text as it is written. Give one, or leave it out.")
            return call.together(self._answers(call, asked))
        if isinstance(asked, str | Mapping) or not isinstance(asked, Iterable):
            one = call.check(asked)
            return self._stream(call, one) if streams else call.alone(asked, self._answers(call, [asked])[0])
        if streams:
            raise UsageError("stream=True shows one text as it is written. Give one, or leave it out.")
        return self._in_windows(call, iter(asked), batch_size)

    def close(self) -> None:
        """Free the model and the device's memory, once no other thread is in a call. Later calls fail."""
        if self._turn.is_mine:
            for stream in list(self._streams):
                stream.close()
        with self._turn.taken():
            self._held.let_go()
        release_memory()
        _release_device()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _answers(self, call: Call, inputs: Iterable[Any]) -> list[Any]:
        checked = [call.check(one) for one in inputs]
        with self._turn.taken(), late_task(self._progress, self.task, len(checked), "inputs") as task:
            return call.answers(checked, task) if checked else []

    def _in_windows(self, call: Call, inputs: Iterator[Any], size: int) -> Iterator[Any]:
        """The turn is taken for a window, not while the caller makes inputs or looks at answers."""
        while window := [call.check(one) for one in islice(inputs, size)]:
            with self._turn.taken(), late_task(self._progress, self.task, len(window), "inputs") as task:
                answers = call.answers(window, task)
            yield from answers

    def _stream(self, call: Call, one: Any) -> Iterator[str]:
        pieces = self._pieces(call, one)
        self._streams.add(pieces)
        return pieces

    def _pieces(self, call: Call, one: Any) -> Iterator[str]:
        with self._turn.taken():
            yield from call.stream(one)


def _release_device() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
