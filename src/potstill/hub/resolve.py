"""MODEL, as a user names it, to files on this machine."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path

from potstill.errors import ModelMissing
from potstill.hub.embedded import EMBEDDED, assemble
from potstill.hub.huggingface import fetch
from potstill.hub.listing import FetchedModel, HubModel
from potstill.hub.modelscope import fetch_from_modelscope
from potstill.hub.weight_files import ADAPTER_FILE, holds_weights, only_pickles, pickle_refusal
from potstill.progress import Progress

Origin = Literal["folder", "gguf", "embedded", "run", "hub", "modelscope"]

_HUB_NAME = re.compile(
    r"(?P<site>ms://)?(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:/(?P<file>[\w.-]+\.gguf))?"
    r"(?:@(?P<revision>[A-Za-z0-9][\w./-]*))?"
)


@dataclass(frozen=True)
class LocalModel:
    """`path` is a folder in Hugging Face layout or a .gguf file.

    name        as the user gave it
    revision    what pins the content: the commit for a hub id, the sha256 for an embedded model, else None
    """

    path: Path
    name: str
    origin: Origin
    revision: str | None = None


def resolve(name: str, *, revision: str | None = None, progress: Progress) -> LocalModel:
    """A folder, a .gguf file, a run's folder (its student), an embedded model's name, or a hub id.

    What exists on this machine is taken first. A hub id is `org/name`, or `org/name/FILE.gguf` for one file
    of several; `ms://` before it means ModelScope. Only a hub id takes a `revision` (a branch, tag or
    commit), which may stand in the name too: `org/name@REV`. Raises ModelMissing.
    """
    path = Path(name).expanduser()
    hub = _HUB_NAME.fullmatch(name)
    if revision is not None and (path.exists() or name in EMBEDDED or not hub):
        raise ModelMissing(
            f"{name} is not a hub id, so there is no revision {revision} of it. Leave that out."
        )
    if path.is_dir():
        return _in_folder(path, name)
    if path.is_file():
        return _file(path, name)
    if name in EMBEDDED:
        model = EMBEDDED[name]
        file = assemble(model, user_cache_path("potstill"), progress=progress)
        return LocalModel(file, name, "embedded", model.sha256)
    if hub is None or name.startswith((".", "~")):
        raise ModelMissing(
            f"There is no model {name!r}. MODEL is a folder with config.json and *.safetensors, a .gguf "
            f"file, a run's folder, a hub id such as google/gemma-3-270m, a ModelScope id such as "
            f"ms://Qwen/Qwen3-0.6B, or {', '.join(EMBEDDED)}."
        )
    if revision is not None and hub["revision"] not in (None, revision):
        raise ModelMissing(f"{name} names another revision than {revision}. Leave one of them out.")
    found = _fetched(hub, revision or hub["revision"], progress)
    return LocalModel(found.path, name, "modelscope" if hub["site"] else "hub", found.commit)


def modelscope_folder() -> Path:
    """Where models from ModelScope are kept."""
    return user_cache_path("potstill") / "modelscope"


def _fetched(hub: re.Match[str], revision: str | None, progress: Progress) -> FetchedModel:
    records = user_cache_path("potstill") / "hub"
    if hub["site"]:
        model = HubModel(hub["id"], revision or "master", hub["file"])
        return fetch_from_modelscope(model, modelscope_folder(), records, progress=progress)
    return fetch(HubModel(hub["id"], revision or "main", hub["file"]), records, progress=progress)


def _in_folder(folder: Path, name: str) -> LocalModel:
    if (folder / "config.json").is_file() or (folder / ADAPTER_FILE).is_file():
        _check_weights(folder)
        return LocalModel(folder, name, "folder")
    student = folder / "student"
    if (student / "config.json").is_file() or (student / ADAPTER_FILE).is_file():
        _check_weights(student)
        return LocalModel(student, name, "run")
    gguf = sorted(folder.glob("*.gguf"))
    if len(gguf) == 1:
        return LocalModel(gguf[0], name, "gguf")
    if gguf:
        raise ModelMissing(f"{folder} holds {len(gguf)} GGUF files. Name one of them, such as {gguf[0]}.")
    raise ModelMissing(
        f"{folder} is no model: it has no config.json, no .gguf file and no student. "
        f"If a run is to make it, wait for it, or finish it with `potstill run resume {folder}`."
    )


def _check_weights(folder: Path) -> None:
    names = [file.name for file in folder.iterdir()]
    if only_pickles(names):
        raise ModelMissing(pickle_refusal(str(folder), names))
    if not holds_weights(names):
        raise ModelMissing(f"{folder} has a configuration but no *.safetensors. Fetch or export it again.")


def _file(path: Path, name: str) -> LocalModel:
    if path.suffix == ".gguf":
        return LocalModel(path, name, "gguf")
    if only_pickles([path.name]):
        raise ModelMissing(pickle_refusal(str(path), [path.name]))
    raise ModelMissing(f"{path} is not a .gguf file. To use safetensors, name the folder that they lie in.")
