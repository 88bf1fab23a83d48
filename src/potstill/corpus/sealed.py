"""JSON files that carry the SHA-256 of what they hold, so that a changed byte is found before it is believed.

The file is one object: `schema` (a name and a version, as in `potstill.corpus/1`), `content`, and `sha256` of
the content's canonical JSON: keys sorted, no spaces, everything outside ASCII escaped.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.errors import DamagedError
from potstill.files import read_json, write_text

MAX_SEALED_BYTES = 256 << 20


def write_sealed(path: Path, schema: str, content: Mapping[str, Any]) -> None:
    """Replace `path` atomically; equal content gives equal bytes."""
    sealed = {"schema": schema, "content": dict(content), "sha256": seal_of(content)}
    write_text(path, json.dumps(sealed, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_sealed(path: Path, schema: str) -> dict[str, Any]:
    """The content of `path`; what it means is the caller's to check.

    MissingError where there is no such file. DamagedError where it is cut short or altered, where it is of
    another kind, and where a newer potstill wrote it.
    """
    if path.is_file() and path.stat().st_size > MAX_SEALED_BYTES:
        raise DamagedError(f"{path} is larger than {MAX_SEALED_BYTES:,} bytes, which no such file is.")
    sealed = read_json(path)
    if not isinstance(sealed, dict) or not isinstance(sealed.get("schema"), str):
        raise DamagedError(f"{path} has no schema: potstill did not write it, or it was altered.")
    _check_schema(path, sealed["schema"], schema)
    content = sealed.get("content")
    if not isinstance(content, dict) or sealed.get("sha256") != seal_of(content):
        raise DamagedError(
            f"{path} was altered: its content does not have the SHA-256 it was written with. "
            f"Copy it again from where it is whole, or build it again."
        )
    return content


def seal_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of `content`, in hexadecimal digits."""
    canonical = json.dumps(dict(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_schema(path: Path, found: str, wanted: str) -> None:
    if found == wanted:
        return
    name, _, version = wanted.rpartition("/")
    found_name, _, found_version = found.rpartition("/")
    if found_name == name and found_version.isdecimal() and int(found_version) > int(version):
        raise DamagedError(
            f"{path} was written by a newer potstill: it is {found}, this one reads {wanted}. "
            f"Update potstill, or build it again with this one."
        )
    raise DamagedError(f"{path} is {found!r} where {wanted!r} is wanted.")
