"""A model from a Hugging Face hub, pinned to a commit, without anything that could be run.

HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN and HF_HOME mean what they mean to huggingface-hub, which does the
fetching and keeps the files. What is kept here is a record of each fetch that was finished, so that a model
can be used again without the hub.
"""

import errno
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from potstill.errors import DamagedError, DiskFull, ModelMissing
from potstill.files import read_json, sha256_of, write_json
from potstill.hub.waiting_lock import waiting_lock
from potstill.hub.weight_files import files_to_fetch, holds_weights, only_pickles, pickle_refusal
from potstill.progress import Progress, Task


class HubModel(NamedTuple):
    """`file` is one GGUF file of the repository, or None for its safetensors or its only GGUF file."""

    repo_id: str
    revision: str
    file: str | None


class FetchedModel(NamedTuple):
    """`path` is a folder, or the .gguf file; `commit` is what the revision meant when it was fetched."""

    path: Path
    commit: str


class _RemoteFile(NamedTuple):
    name: str
    num_bytes: int
    sha256: str | None


class _Listing(NamedTuple):
    commit: str
    files: list[_RemoteFile]


def fetch(model: HubModel, records: Path, *, progress: Progress) -> FetchedModel:
    """The model's files on this machine; those that are there already are not fetched again.

    Raises ModelMissing when the hub has no such model, or does not give it, or cannot be reached and the
    model was not fetched before; DiskFull; DamagedError when a file has not the hash the hub gives for it.
    """
    record = records / f"{quote('@'.join([model.repo_id, model.revision, model.file or '']), safe='@')}.json"
    try:
        with _hub_errors(model):
            listing = _list(model)
    except _Unreachable as error:
        return _fetched_before(model, record, str(error))
    files = _wanted(model, listing)
    try:
        with _hub_errors(model):
            folder = _download(model, listing.commit, files, progress)
    except _Unreachable as error:
        raise ModelMissing(
            f"Fetching {model.repo_id} broke off ({error}). Run the same command again to go on from there."
        ) from None
    with waiting_lock(records):
        write_json(record, {"commit": listing.commit, "files": [file.name for file in files]})
    return _as_fetched(folder, listing.commit, [file.name for file in files])


class _Unreachable(Exception):
    pass


def _list(model: HubModel) -> _Listing:
    from huggingface_hub import HfApi

    found = HfApi(library_name="potstill").model_info(
        model.repo_id, revision=model.revision, files_metadata=True, timeout=30
    )
    files = [
        _RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in found.siblings or []
    ]
    if not found.sha:
        raise ModelMissing(
            f"The hub names no commit for {model.repo_id}. Try again, or name another revision."
        )
    return _Listing(found.sha, files)


def _wanted(model: HubModel, listing: _Listing) -> list[_RemoteFile]:
    names = [file.name for file in listing.files]
    if only_pickles(names):
        raise ModelMissing(pickle_refusal(model.repo_id, names))
    wanted = files_to_fetch(names)
    gguf = [name for name in wanted if name.endswith(".gguf")]
    if model.file is not None:
        if model.file not in names:
            raise ModelMissing(
                f"{model.repo_id} has no {model.file}; it has {', '.join(gguf) or 'no GGUF file'}."
            )
        wanted = [model.file]
    elif len(gguf) > 1:
        raise ModelMissing(
            f"{model.repo_id} has {len(gguf)} GGUF files. Name one of them: "
            f"{', '.join(f'{model.repo_id}/{name}' for name in gguf[:12])}."
        )
    if not holds_weights(wanted):
        raise ModelMissing(f"{model.repo_id} has neither safetensors nor GGUF files. Name another model.")
    return [file for file in listing.files if file.name in wanted]


def _download(model: HubModel, commit: str, files: list[_RemoteFile], progress: Progress) -> Path:
    from huggingface_hub import hf_hub_download

    missing = [file for file in files if _cached(model, commit, file.name) is None]
    if missing:
        _announce(model, commit, sum(file.num_bytes for file in missing))
        with progress.task("download", sum(file.num_bytes for file in missing) / 1e6, "MB") as task:
            for file in missing:
                path = Path(
                    hf_hub_download(
                        model.repo_id,
                        file.name,
                        revision=commit,
                        library_name="potstill",
                        tqdm_class=_bar_for(task),
                    )
                )
                _check_hash(path, file)
    folder = _cached(model, commit, files[0].name)
    assert folder is not None
    return folder.parent


def _announce(model: HubModel, commit: str, num_bytes: int) -> None:
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE)
    print(
        f"{model.repo_id} at {commit[:12]}: {num_bytes / 1e6:,.0f} MB to fetch from {constants.ENDPOINT}",
        file=sys.stderr,
    )
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if num_bytes > free:
        raise DiskFull(
            f"{model.repo_id} needs {num_bytes / 1e9:.1f} GB and {existing} has {free / 1e9:.1f} GB free. "
            f"Free some space, or set HF_HOME to a larger disk."
        )


def _check_hash(path: Path, file: _RemoteFile) -> None:
    if file.sha256 is not None and sha256_of(path) != file.sha256:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DamagedError(f"{file.name} arrived with the wrong sha256 and was removed. Fetch it again.")


def _fetched_before(model: HubModel, record: Path, reason: str) -> FetchedModel:
    if record.is_file():
        found = read_json(record)
        commit, names = str(found["commit"]), [str(name) for name in found["files"]]
        paths = [path for name in names if (path := _cached(model, commit, name)) is not None]
        if paths and len(paths) == len(names):
            return _as_fetched(paths[0].parent, commit, names)
    raise ModelMissing(
        f"{model.repo_id} was not fetched to this machine before, and the hub is out of reach ({reason}). "
        f"Go online, unset HF_HUB_OFFLINE, set HF_ENDPOINT to a mirror, or name a folder or a .gguf file."
    )


def _as_fetched(folder: Path, commit: str, names: list[str]) -> FetchedModel:
    gguf = [name for name in names if name.endswith(".gguf")]
    return FetchedModel(folder / gguf[0] if gguf else folder, commit)


def _cached(model: HubModel, commit: str, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model.repo_id, name, revision=commit)
    return Path(found) if isinstance(found, str) else None


def _bar_for(task: Task) -> Any:
    """A class with the few methods of tqdm that huggingface-hub calls."""

    class Bar:
        def __init__(self, *args: Any, **options: Any) -> None:
            if done := options.get("initial"):
                task.advance(done / 1e6)

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def update(self, num_bytes: float | None = 1) -> None:
            task.advance((num_bytes or 0) / 1e6)

        def update_transfer(self, num_bytes: float | None = 1) -> None:
            pass

        def set_postfix_str(self, text: str, refresh: bool = False) -> None:
            pass

        def set_transfer_postfix_str(self, text: str, refresh: bool = False) -> None:
            pass

        def close(self) -> None:
            pass

    return Bar


@contextmanager
def _hub_errors(model: HubModel) -> Iterator[None]:
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, endpoint = model.repo_id, constants.ENDPOINT
    try:
        yield
    except GatedRepoError:
        raise ModelMissing(
            f"{name} is given only to those who accept its terms. Accept them at {endpoint}/{name}, then set "
            f"HF_TOKEN to a token of yours."
        ) from None
    except RepositoryNotFoundError:
        raise ModelMissing(
            f"{endpoint} has no model {name}, or it is private: check the name, or set HF_TOKEN."
        ) from None
    except RevisionNotFoundError:
        raise ModelMissing(
            f"{name} has no revision {model.revision} at {endpoint}. Check the name."
        ) from None
    except HFValidationError as error:
        raise ModelMissing(f"{name} is not a hub id: {error}. A hub id is org/name.") from None
    except (httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise DiskFull(f"No room left while fetching {name}. Free some space, or move HF_HOME.") from None
        text = str(error).strip() or type(error).__name__
        raise _Unreachable(text.splitlines()[0].rstrip(".")) from None
