"""A model from a Hugging Face hub or a mirror of it, pinned to a commit, without anything that could be run.

HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN and HF_HOME mean what they mean to huggingface-hub, which does the
fetching, goes on where a download was cut, and keeps the files. POTSTILL_HUB_MIRRORS names more addresses.
What is kept here is a record of each fetch that was finished, so that a model can be used again without the
hub.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from potstill.errors import DamagedError, DiskFull, ModelMissing
from potstill.files import is_disk_full, sha256_of
from potstill.hub.listing import (
    COMMIT,
    FetchedModel,
    HubBrokeOff,
    HubLacks,
    HubModel,
    HubUnreachable,
    Listing,
    RemoteFile,
    announce,
    as_fetched,
    check_count,
    check_room,
    checked_file,
    wanted_files,
)
from potstill.hub.mirrors import first_that_has, is_offline, mirrors, refusals
from potstill.hub.records import read_record, record_path, write_record
from potstill.progress import Progress, Task

MIRRORS_VARIABLE = "POTSTILL_HUB_MIRRORS"


def fetch(model: HubModel, records: Path, *, progress: Progress) -> FetchedModel:
    """The model's files on this machine; those that are there already are not fetched again.

    Raises ModelMissing when no hub has such a model, or gives it, or none can be reached and the model was
    not fetched before; DiskFull; DamagedError when a file has not the hash the hub gives for it.
    """
    record = record_path(records, model)
    try:
        with refusals(model.repo_id):
            commit, names = first_that_has(
                _endpoints(), model.repo_id, lambda endpoint: _fetch_from(endpoint, model, progress)
            )
    except HubUnreachable as error:
        return _fetched_before(model, record, str(error))
    write_record(record, commit, names)
    return as_fetched(_folder(model, commit, names), commit, names)


def _endpoints() -> list[str]:
    from huggingface_hub import constants

    # Offline every address fails alike.
    others = [] if is_offline() else mirrors(MIRRORS_VARIABLE)
    return [constants.ENDPOINT, *(address for address in others if address != constants.ENDPOINT)]


def _fetch_from(endpoint: str, model: HubModel, progress: Progress) -> tuple[str, list[str]]:
    """The commit and the names of the files, all of them in the cache."""
    with _hub_errors(model, endpoint):
        listing = _list(endpoint, model)
    files = wanted_files(model, listing.files)
    try:
        with _hub_errors(model, endpoint):
            _download(endpoint, model, listing.commit, files, progress)
    except HubUnreachable as error:
        raise HubBrokeOff(str(error)) from None
    return listing.commit, [file.name for file in files]


def _list(endpoint: str, model: HubModel) -> Listing:
    from huggingface_hub import HfApi

    found = HfApi(endpoint=endpoint, token=_token_for(endpoint), library_name="potstill").model_info(
        model.repo_id, revision=model.revision, files_metadata=True, timeout=30
    )
    siblings = found.siblings or []
    check_count(model.repo_id, len(siblings))
    files = [
        checked_file(model.repo_id, file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in siblings
    ]
    # It becomes part of a path.
    if not found.sha or not COMMIT.fullmatch(found.sha):
        raise ModelMissing(
            f"The hub names no commit for {model.repo_id}. Try again, or name another revision."
        )
    return Listing(found.sha, files)


def _token_for(endpoint: str) -> bool | None:
    """The token is meant for the first address: no mirror is shown it. None lets the library find it."""
    from huggingface_hub import constants

    return None if endpoint == constants.ENDPOINT else False


def _download(
    endpoint: str, model: HubModel, commit: str, files: list[RemoteFile], progress: Progress
) -> None:
    from huggingface_hub import constants, hf_hub_download

    missing = [file for file in files if _cached(model, commit, file.name) is None]
    num_bytes = sum(file.num_bytes for file in missing)
    if missing:
        announce(model.repo_id, commit, num_bytes, endpoint)
        check_room(model.repo_id, num_bytes, Path(constants.HF_HUB_CACHE), "HF_HOME")
        with progress.task("download", num_bytes / 1e6, "MB") as task:
            for file in missing:
                path = hf_hub_download(
                    model.repo_id,
                    file.name,
                    revision=commit,
                    library_name="potstill",
                    endpoint=endpoint,
                    token=_token_for(endpoint),
                    tqdm_class=_bar_for(task),
                )
                _check_hash(Path(path), file)


def _check_hash(path: Path, file: RemoteFile) -> None:
    if file.sha256 is not None and sha256_of(path) != file.sha256:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DamagedError(f"{file.name} arrived with the wrong sha256 and was removed. Fetch it again.")


def _fetched_before(model: HubModel, record: Path, reason: str) -> FetchedModel:
    found = read_record(record)
    if found and all(_cached(model, found.commit, name) is not None for name in found.names):
        return as_fetched(_folder(model, found.commit, found.names), found.commit, found.names)
    raise ModelMissing(
        f"{model.repo_id} was not fetched to this machine before, and the hub is out of reach ({reason}). "
        f"Go online, unset HF_HUB_OFFLINE, set HF_ENDPOINT or {MIRRORS_VARIABLE} to a mirror, or name a "
        f"folder or a .gguf file."
    )


def _folder(model: HubModel, commit: str, names: list[str]) -> Path:
    """The folder of the repository's top."""
    path = _cached(model, commit, names[0])
    assert path is not None, f"{names[0]} is in the cache"
    return path.parents[names[0].count("/")]


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
def _hub_errors(model: HubModel, endpoint: str) -> Iterator[None]:
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = model.repo_id
    try:
        yield
    except GatedRepoError:
        raise ModelMissing(
            f"{name} is given only to those who accept its terms. Accept them at {endpoint}/{name}, then set "
            f"HF_TOKEN to a token of yours."
        ) from None
    except RepositoryNotFoundError:
        fact = f"{endpoint} has no model {name}, or it is private"
        raise HubLacks(fact, "Check the name, or set HF_TOKEN.") from None
    except RevisionNotFoundError:
        fact = f"{name} has no revision {model.revision} at {endpoint}"
        raise HubLacks(fact, "Check the name.") from None
    except HFValidationError as error:
        raise ModelMissing(f"{name} is not a hub id: {error}. A hub id is org/name.") from None
    except (httpx2.HTTPError, OSError) as error:
        if is_disk_full(error):
            raise DiskFull(f"No room left while fetching {name}. Free some space, or move HF_HOME.") from None
        text = str(error).strip() or type(error).__name__
        raise HubUnreachable(f"{endpoint}: {text.splitlines()[0].rstrip('.')}") from None
