"""A chat kept in a file of JSON lines: what was said before it, then a line for each turn.

A line is on the disk before the next question is asked, and one that was cut short does not count, so what
ends the program loses the running answer and nothing else. A line `{"reset": true}` drops all turns above it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from potstill.errors import DamagedError, MissingError, UsageError
from potstill.files import write_text
from potstill.journal import Journal
from potstill.pipelines.chat_style import Turn

_FORMAT = "potstill.transcript/1"
MAX_TRANSCRIPT_BYTES = 64 << 20


class Transcript:
    """The file at `path`; `opening` is what its chat begins with (`ChatStyle.opening`)."""

    def __init__(self, path: Path, opening: str) -> None:
        self._path, self._opening = path, opening
        self._journal = Journal(path)

    def turns(self) -> list[Turn]:
        """The turns since the last reset; none where there is no file yet.

        UsageError if the chat began otherwise, DamagedError for a file that is no transcript.
        """
        records = self._records()
        if not records:
            return []
        first: dict[str, Any] = records[0]
        found: list[Turn] = []
        if first.get("format") != _FORMAT:
            self._fail("it does not begin as one")
        if first.get("opening") != self._opening:
            raise UsageError(
                f"{self._path} is a chat with another persona. Name that persona, or another file."
            )
        for record in records[1:]:
            if record.get("reset") is True:
                found.clear()
            else:
                found.append(self._turn(record))
        return found

    def add(self, turn: Turn) -> None:
        self._begin()
        self._journal.append(turn._asdict())

    def reset(self) -> None:
        self._begin()
        self._journal.append({"reset": True})

    def write(self, turns: Sequence[Turn]) -> None:
        """Write all at once, in the place of what the file held."""
        records = [self._first_line(), *(turn._asdict() for turn in turns)]
        write_text(self._path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records))

    def _begin(self) -> None:
        if not self._path.exists():
            self.write([])
        elif self._path.stat().st_size == 0:
            # Somebody made the file beforehand, or it is one that keeps nothing.
            self._journal.append(self._first_line())

    def _first_line(self) -> dict[str, Any]:
        return {"format": _FORMAT, "opening": self._opening}

    def _records(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        if self._path.is_dir():
            raise MissingError(f"{self._path} is a folder where a transcript's file is wanted.")
        if self._path.stat().st_size > MAX_TRANSCRIPT_BYTES:
            self._fail(f"it is larger than {MAX_TRANSCRIPT_BYTES:,} bytes")
        try:
            records = list(self._journal.records())
        except (ValueError, RecursionError) as error:
            self._fail(f"a line is not JSON ({error})")
        if not all(isinstance(record, dict) for record in records):
            self._fail("a line is no JSON object")
        if not records and self._path.stat().st_size:
            self._fail("it has no whole line")
        return records

    def _turn(self, record: dict[str, Any]) -> Turn:
        question, answer = record.get("question"), record.get("answer")
        if not isinstance(question, str) or not isinstance(answer, str):
            self._fail("a line is no turn")
        return Turn(question, answer)

    def _fail(self, reason: str) -> NoReturn:
        raise DamagedError(f"{self._path} is no transcript of a chat: {reason}. Name another file.")
