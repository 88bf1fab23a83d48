"""One file over HTTP, going on where an earlier try was cut.

What has arrived lies in a part beside its target until all of it is there, on the disk, and has the right
hash: a process that is killed at any moment leaves the whole file, or a part that the next one goes on with.
"""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.errors import DamagedError, DiskFull
from potstill.files import is_disk_full, sha256_of, sync_folder
from potstill.hub.listing import HubUnreachable, RemoteFile
from potstill.progress import Task

if TYPE_CHECKING:
    from httpx2 import Client, HTTPStatusError, Response

_CHUNK_BYTES = 1 << 20
# So often in a row an address that sends nothing more is asked again, after these pauses.
_PAUSES_S = (0.2, 1.0, 3.0)
_LENGTH = re.compile(r"\d{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")


@dataclass(frozen=True)
class Download:
    """`file` from `url` with the query `params`; `part` is on the disk that the file goes to."""

    client: "Client"
    url: str
    params: Mapping[str, str]
    file: RemoteFile
    part: Path

    @property
    def num_bytes_here(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def to(self, target: Path, task: Task) -> None:
        """Make `target`, whole and on the disk.

        Raises HubUnreachable when the server breaks off again and again (the part stays), DamagedError when
        what came has another length or hash (it is removed), DiskFull (the part stays).
        """
        try:
            for folder in (self.part.parent, target.parent):
                folder.mkdir(parents=True, exist_ok=True)
            self._fill(task)
            if self.file.sha256 is not None and sha256_of(self.part) != self.file.sha256:
                raise self._damaged("the wrong sha256")
            os.replace(self.part, target)
            sync_folder(target.parent)
        except OSError as error:
            if is_disk_full(error):
                raise DiskFull(
                    f"No room left for {self.part.parent}. Free some space and run the same command again; "
                    f"what was fetched so far is kept."
                ) from None
            raise

    def _fill(self, task: Task) -> None:
        import httpx2

        pauses = iter(_PAUSES_S)
        if not self.part.exists() or self.num_bytes_here > self.file.num_bytes:
            self.part.write_bytes(b"")
        while (before := self.num_bytes_here) < self.file.num_bytes:
            problem = "the connection was closed"
            try:
                self._receive(before, task)
            except httpx2.HTTPStatusError as error:
                problem = self._refused(error)
            except httpx2.HTTPError as error:
                problem = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            if self.num_bytes_here > before:
                pauses = iter(_PAUSES_S)
            elif (pause := next(pauses, None)) is not None:
                time.sleep(pause)
            else:
                raise HubUnreachable(
                    f"{self.file.name} stopped at {before:,} of {self.file.num_bytes:,} bytes: {problem}"
                )
        if self.num_bytes_here != self.file.num_bytes:
            raise self._damaged("more bytes than the hub lists")

    def _receive(self, num_here: int, task: Task) -> None:
        """One request for what is missing, written as it comes; it may end early."""
        headers = {"Range": f"bytes={num_here}-"} if num_here else {}
        with (
            self.client.stream("GET", self.url, params=self.params, headers=headers) as response,
            open(self.part, "r+b") as part,
        ):
            response.raise_for_status()
            begin, total = _sent_range(response)
            if begin > num_here or total not in (None, self.file.num_bytes):
                raise self._damaged(
                    f"{total} bytes from {begin} on, where the hub lists {self.file.num_bytes}"
                )
            # A server that starts over sends once more what is here already.
            task.advance((begin - num_here) / 1e6)
            part.seek(begin)
            part.truncate()
            try:
                for chunk in response.iter_bytes(_CHUNK_BYTES):
                    part.write(chunk)
                    task.advance(len(chunk) / 1e6)
                    if part.tell() > self.file.num_bytes:
                        break
            finally:
                part.flush()
                os.fsync(part.fileno())

    def _refused(self, error: "HTTPStatusError") -> str:
        """What a status says; raises where asking again is of no use."""
        status = error.response.status_code
        if status == 416:
            raise self._damaged("fewer bytes than the hub lists")
        if status < 500 and status not in (408, 429):
            raise HubUnreachable(f"{self.file.name} is refused with status {status}")
        return f"status {status}"

    def _damaged(self, what: str) -> DamagedError:
        self.part.unlink(missing_ok=True)
        return DamagedError(f"{self.file.name} arrived with {what} and was removed. Fetch it again.")


def _sent_range(response: "Response") -> tuple[int, int | None]:
    """The first byte that is sent and the file's length, where it is told.

    The header decides and not the status: ModelScope sends the range that was asked for with status 200.
    """
    told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if told:
        return int(told[1]), int(told[2]) if told[2] != "*" else None
    length = response.headers.get("Content-Length", "")
    is_plain = "Content-Encoding" not in response.headers
    return 0, int(length) if is_plain and _LENGTH.fullmatch(length) else None
