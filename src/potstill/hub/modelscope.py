"""A model from ModelScope or a mirror of it, by its public HTTP interface, without its package.

MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN mean what they mean to that package, and
POTSTILL_HUB_MODELSCOPE_MIRRORS names more addresses. Under `folder`/org/name lie `blobs`, whole files named
by their content, `parts` of others, and a folder of links to blobs for each commit: neither a new commit nor
another address makes the same weights be fetched twice.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from potstill.errors import DamagedError, ModelMissing
from potstill.hub.download import Download
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
from potstill.hub.mirrors import check_address, first_that_has, is_offline, mirrors, refusals
from potstill.hub.records import read_record, record_path, write_record
from potstill.hub.waiting_lock import waiting_lock
from potstill.progress import Progress, Task

if TYPE_CHECKING:
    from httpx2 import Client, Response

PREFIX = "ms://"
MIRRORS_VARIABLE = "POTSTILL_HUB_MODELSCOPE_MIRRORS"
_PUBLIC = "https://www.modelscope.cn"
_TIMEOUT_S = 30.0
_MAX_LISTING_BYTES = 32 << 20
_BLOBS, _PARTS = "blobs", "parts"


def fetch_from_modelscope(
    model: HubModel, folder: Path, records: Path, *, progress: Progress
) -> FetchedModel:
    """The model's files on this machine; those that are there already are not fetched again.

    Raises ModelMissing when no address has such a model, or none can be reached and the model was not fetched
    before; DiskFull; DamagedError when a listing is absurd or a file has not the hash the hub gives for it.
    """
    shown = PREFIX + model.repo_id
    record = record_path(records, model, PREFIX)
    root = folder / model.repo_id
    try:
        if is_offline():
            raise HubUnreachable("HF_HUB_OFFLINE is set")
        with waiting_lock(root), refusals(shown):
            commit, names = first_that_has(
                _endpoints(), shown, lambda endpoint: _fetch_from(endpoint, model, root, progress)
            )
    except HubUnreachable as error:
        return _fetched_before(shown, root, record, str(error))
    write_record(record, commit, names)
    return as_fetched(root / commit, commit, names)


def fetched_models(folder: Path) -> Iterator[tuple[str, int]]:
    """The ids under `folder` that have whole files, each with the bytes of all of them."""
    for blobs in sorted(folder.glob(f"*/*/{_BLOBS}")):
        name = blobs.parent.relative_to(folder).as_posix()
        yield f"{PREFIX}{name}", sum(blob.stat().st_size for blob in blobs.iterdir())


def _endpoints() -> list[str]:
    first = os.environ.get("MODELSCOPE_ENDPOINT", "").rstrip("/") or _PUBLIC
    check_address("MODELSCOPE_ENDPOINT", first)
    return [first, *(address for address in mirrors(MIRRORS_VARIABLE) if address != first)]


def _fetch_from(endpoint: str, model: HubModel, root: Path, progress: Progress) -> tuple[str, list[str]]:
    """The commit and the names of the files, all of them under `root`/commit."""
    with _client(endpoint) as client:
        listing = _list(client, endpoint, model)
        files = wanted_files(model, listing.files, PREFIX)
        blobs = {file: root / _BLOBS / _content_name(listing.commit, file) for file in files}
        missing = [
            Download(client, f"{_address(endpoint, model)}/repo", _query(model, file), file, _part_of(blob))
            for file, blob in blobs.items()
            if not _is_here(blob, file.num_bytes)
        ]
        if missing:
            num_here = sum(one.num_bytes_here for one in missing)
            num_bytes = max(num_here, sum(one.file.num_bytes for one in missing))
            announce(PREFIX + model.repo_id, listing.commit, num_bytes - num_here, endpoint)
            check_room(PREFIX + model.repo_id, num_bytes - num_here, root, "XDG_CACHE_HOME")
            with progress.task("download", num_bytes / 1e6, "MB", done=num_here / 1e6) as task:
                for one in missing:
                    _download(one, blobs[one.file], endpoint, task)
    for file, blob in blobs.items():
        _link(blob, root / listing.commit / file.name)
    return listing.commit, [file.name for file in files]


def _download(one: Download, blob: Path, endpoint: str, task: Task) -> None:
    try:
        one.to(blob, task)
    except HubUnreachable as error:
        raise HubBrokeOff(f"{endpoint}: {error}") from None


def _link(blob: Path, target: Path) -> None:
    if _is_here(target, blob.stat().st_size):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(blob, target)
    except OSError:
        # A file system without links: the name is relative, so that the cache can be moved.
        target.symlink_to(os.path.relpath(blob, target.parent))


@contextmanager
def _client(endpoint: str) -> Iterator["Client"]:
    import httpx2

    # The token is meant for the first address: no mirror is shown it, nor where a redirect leads.
    token = os.environ.get("MODELSCOPE_API_TOKEN", "") if endpoint == _endpoints()[0] else ""
    headers = {"User-Agent": "potstill", "Accept-Encoding": "identity"}
    if token:
        # Private models of older accounts are opened by the cookie alone.
        headers |= {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"}
    with httpx2.Client(headers=headers, timeout=_TIMEOUT_S, follow_redirects=True) as client:
        yield client


def _address(endpoint: str, model: HubModel) -> str:
    return f"{endpoint}/api/v1/models/{quote(model.repo_id)}"


def _query(model: HubModel, file: RemoteFile) -> dict[str, str]:
    return {"Revision": model.revision, "FilePath": file.name}


def _list(client: "Client", endpoint: str, model: HubModel) -> Listing:
    import httpx2

    params = {"Revision": model.revision, "Recursive": "true"}
    try:
        with client.stream("GET", f"{_address(endpoint, model)}/repo/files", params=params) as response:
            if response.status_code in (401, 403, 404):
                raise HubLacks(
                    f"{endpoint} has no model {PREFIX}{model.repo_id}, or it is private",
                    "Check the name, or set MODELSCOPE_API_TOKEN.",
                )
            response.raise_for_status()
            content = _read_bounded(response, model)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        text = str(error).strip() or type(error).__name__
        raise HubUnreachable(f"{endpoint}: {text.splitlines()[0].rstrip('.')}") from None
    return _parse(content, endpoint, model)


def _read_bounded(response: "Response", model: HubModel) -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes(1 << 16):
        content += chunk
        if len(content) > _MAX_LISTING_BYTES:
            raise DamagedError(
                f"The list of files of {PREFIX}{model.repo_id} is longer than {_MAX_LISTING_BYTES >> 20} "
                f"MiB. Nothing was fetched; take the model from another place."
            )
    return bytes(content)


def _parse(content: bytes, endpoint: str, model: HubModel) -> Listing:
    try:
        told = json.loads(content)
        data = told["Data"]
        entries = data["Files"]
        files = [
            checked_file(model.repo_id, entry["Path"], entry["Size"], entry.get("Sha256"))
            for entry in entries or []
            if entry["Type"] != "tree"
        ]
        commits = {str(entry.get("Revision", "")) for entry in entries or []}
        latest = data.get("LatestCommitter") or {}
        heads = [str(latest.get(key) or "") for key in ("Id", "ShortId")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise HubUnreachable(f"{endpoint}: its answer is no list of files") from None
    if entries is None:
        # This is how ModelScope says it: status 200 and no list.
        fact = f"{PREFIX}{model.repo_id} has no revision {model.revision} at {endpoint}"
        raise HubLacks(fact, "Check the name; the first branch is called master there.")
    check_count(model.repo_id, len(files))
    return Listing(_commit(model.revision, heads, commits, files), files)


def _commit(revision: str, heads: list[str], commits: set[str], files: list[RemoteFile]) -> str:
    """What pins the content: the commit, or where the listing does not tell it, `content-` and a hash of it.

    A listing names each file's own last commit, and of the newest one often the first letters only.
    """
    if COMMIT.fullmatch(revision):
        return revision
    for head in filter(None, heads):
        found = {
            commit for commit in {*commits, head} if commit.startswith(head) and COMMIT.fullmatch(commit)
        }
        if len(found) == 1:
            return found.pop()
    told = [sorted(json.dumps(file) for file in files), sorted(commits)]
    return f"content-{sha256(json.dumps(told).encode()).hexdigest()[:32]}"


def _content_name(commit: str, file: RemoteFile) -> str:
    """Its hash; where the hub gives none, a name that no other commit shares."""
    return file.sha256 or f"unhashed-{sha256(json.dumps([commit, *file]).encode()).hexdigest()}"


def _part_of(blob: Path) -> Path:
    return blob.parents[1] / _PARTS / blob.name


def _is_here(path: Path, num_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == num_bytes


def _fetched_before(shown: str, root: Path, record: Path, reason: str) -> FetchedModel:
    found = read_record(record)
    if found and all((root / found.commit / name).is_file() for name in found.names):
        return as_fetched(root / found.commit, found.commit, found.names)
    raise ModelMissing(
        f"{shown} was not fetched to this machine before, and ModelScope is out of reach ({reason}). "
        f"Go online, unset HF_HUB_OFFLINE, set MODELSCOPE_ENDPOINT or {MIRRORS_VARIABLE} to a mirror, or "
        f"name a folder or a .gguf file."
    )
