"""What a file system can do for SQLite: its write-ahead log needs memory shared between processes."""

import os
from pathlib import Path

# A server stands between two users of one of these, so shared memory would not be shared.
_NETWORKED = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "fuse.", "beegfs", "glusterfs")


def shares_memory(folder: Path) -> bool:
    kind = file_system_of(folder)
    return not kind.startswith(_NETWORKED)


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of file system `folder` is on, as the kernel names it; `unknown` where it does not say."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return "unknown"
    target = os.path.realpath(folder)
    best, kind = "", "unknown"
    for line in lines:
        _, point, fs_kind, *_ = line.split(" ")
        point = point.encode(errors="surrogateescape").decode("unicode_escape", errors="replace")
        if len(point) >= len(best) and (target == point or target.startswith(point.rstrip("/") + "/")):
            best, kind = point, fs_kind
    return kind
