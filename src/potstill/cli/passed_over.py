"""Files in the sources' folders that were not read: told as soon as it is known, and each by its reason."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from potstill.cli.output import say

if TYPE_CHECKING:
    from potstill.corpus.source_files import PassedOver

_MOST_SHOWN = 10


class PassedOverFiles:
    """Called with the files once; `told` is what the JSON says of them, None as long as nothing was read."""

    def __init__(self, *, is_quiet: bool) -> None:
        self.told: list[dict[str, str]] | None = None
        self._is_quiet = is_quiet

    def __call__(self, files: "Sequence[PassedOver]") -> None:
        self.told = [{"path": str(each.path), "reason": each.reason} for each in files]
        if self._is_quiet or not files:
            return
        say(f"{len(files):,} {'files were' if len(files) > 1 else 'file was'} passed over:")
        for each in self.told[:_MOST_SHOWN]:
            # A name may hold the end of a line.
            say(f"  {each['path']} ({each['reason']})".replace("\n", "\\n"))
        if len(files) > _MOST_SHOWN:
            say(f"  and {len(files) - _MOST_SHOWN:,} more; --json names them all")
