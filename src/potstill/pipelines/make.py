"""`potstill.pipeline`: a task and a model's name to something that can be called."""

from os import PathLike, fspath
from sys import stderr
from typing import Any, get_args

from potstill.devices import use_threads
from potstill.engine.params import EngineParams
from potstill.errors import UsageError
from potstill.hub.resolve import resolve
from potstill.pipelines.arguments import whole_number
from potstill.pipelines.open_job import Place, open_job
from potstill.pipelines.pipeline import Pipeline
from potstill.pipelines.task_name import task_name
from potstill.progress import Progress, Silent, progress_for
from potstill.types import DtypeName


def pipeline(
    task: str,
    model: str | PathLike[str],
    *,
    device: str | int | None = None,
    dtype: object = "auto",
    threads: int | None = None,
    revision: str | None = None,
    batch_size: int | None = None,
    progress: bool | Progress = True,
    **arguments: Any,
) -> Pipeline:
    """A model ready for a task, such as pipeline("summarization", model="google/flan-t5-small").

    task        a name of transformers, also those that its version 5 dropped
    model       a folder, a GGUF file, a run's folder, an embedded model's name or a hub id
    device      cpu, cuda, cuda:N or mps; N for cuda:N, -1 for cpu; auto, or None, for the best one here
    dtype       auto, bf16, fp32 or int8
    threads     used on a CPU, by the whole process; None leaves them as they are
    revision    a branch, tag or commit of a hub id
    batch_size  inputs run together at most, and taken of a generator at a time; 32 unless told
    progress    a bar on stderr for lists that take over two seconds; False shows none
    arguments   of the task, for every call that does not say otherwise

    Raises UsageError where the model cannot do the task, and says what can.
    """
    name = task_name(task)
    shown = _progress(progress)
    if threads is not None:
        use_threads(threads)
    max_batch = whole_number("batch_size", EngineParams().max_batch if batch_size is None else batch_size)
    kind, where = _dtype_name(dtype), _device_name(device)
    found = resolve(fspath(model), revision=revision, progress=shown)
    held, job = open_job(name, found, Place(kind, where, max_batch))
    return Pipeline(task, found.name, held, job, batch_size=max_batch, defaults=arguments, progress=shown)


def _progress(asked: bool | Progress) -> Progress:
    if isinstance(asked, bool):
        return progress_for(stderr) if asked else Silent()
    return asked


def _device_name(device: str | int | None) -> str | None:
    if device is None or device == "auto":
        return None
    if isinstance(device, int) and not isinstance(device, bool):
        return "cpu" if device < 0 else f"cuda:{device}"
    return str(device)


def _dtype_name(dtype: object) -> DtypeName:
    """Also for torch's own names, such as torch.bfloat16 or "float32"."""
    told = str(dtype).removeprefix("torch.")
    name = {"bfloat16": "bf16", "float32": "fp32", "float": "fp32", "None": "auto"}.get(told, told)
    known: tuple[DtypeName, ...] = get_args(DtypeName)
    for one in known:
        if one == name:
            return one
    raise UsageError(f"dtype is {told!r}; it must be one of {', '.join(known)}.")
