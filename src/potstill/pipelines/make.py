"""`potstill.pipeline`: a task and a model's name to something that can be called."""

from os import PathLike, fspath
from pathlib import Path
from sys import stderr
from typing import Any, get_args

from potstill.devices import use_threads
from potstill.errors import UsageError
from potstill.hub.resolve import resolve
from potstill.pipelines.arguments import whole_number
from potstill.pipelines.open_job import open_job
from potstill.pipelines.pipeline import Pipeline
from potstill.pipelines.place import Place
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
    draft: str | None = None,
    index: str | PathLike[str] | None = None,
    compile_cache: str | PathLike[str] | None = None,
    progress: bool | Progress = True,
    **arguments: Any,
) -> Pipeline:
    """A model ready for a task, as pipeline("summarization", model="google/flan-t5-small").

    task           a name of transformers, also those that its version 5 dropped
    model          a folder, a GGUF file, a run's folder, an embedded model's name or a hub id
    device         cpu, cuda, cuda:N or mps; N for cuda:N, -1 for cpu; auto, or None, for the best one here
    dtype          auto, bf16, fp32 or int8
    threads        used on a CPU, by the whole process; None leaves them as they are
    revision       a branch, tag or commit of a hub id
    batch_size     inputs run together at most, and taken of a generator at a time; None for 32
    draft, index   what guesses the next tokens, as `engine.drafts.load` names it, and the index it reads
    compile_cache  a folder where packed weights are kept for the next start; POTSTILL_COMPILE_CACHE else
    progress       a bar on stderr for lists that take over two seconds; False shows none
    arguments      of the task, for every call that does not say otherwise

    UsageError where the model cannot do the task, which says what can.
    """
    name, shown = task_name(task), _progress(progress)
    place = _place(device, dtype, batch_size, draft, _path(index), _path(compile_cache))
    if threads is not None:
        use_threads(threads)
    found = resolve(fspath(model), revision=revision, progress=shown)
    held, job = open_job(name, found, place, shown)
    return Pipeline(task, found.name, held, job, place.max_batch, defaults=arguments, progress=shown)


def _place(
    device: str | int | None,
    dtype: object,
    batch_size: int | None,
    draft: str | None,
    index: Path | None,
    compile_cache: Path | None,
) -> Place:
    if index is not None and draft is None:
        raise UsageError("index is read by a draft: add draft='infinigram', or leave index out.")
    return Place(
        dtype=_dtype_name(dtype),
        device=_device_name(device),
        max_batch=Place.max_batch if batch_size is None else whole_number("batch_size", batch_size),
        draft=draft,
        index=index,
        compile_cache=compile_cache,
    )


def _path(name: str | PathLike[str] | None) -> Path | None:
    return None if name is None else Path(name).expanduser()


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
