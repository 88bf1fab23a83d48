"""What happened in a run: its attempts, its stages, their figures, and events. One SQLite file a run.

One process writes (the run's lock sees to that), any number read. Figures belong to a fingerprint, so going
back to earlier settings finds the earlier figures.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from potstill.errors import DamagedError, DiskFull, MissingError
from potstill.meters import Measured
from potstill.runs.file_systems import file_system_of, shares_memory

StageOutcome = Literal["running", "done", "failed", "interrupted"]

# Migration n takes a ledger of schema n to n + 1. Never edit one that was released: add the next.
_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY, recipe TEXT NOT NULL, seed INTEGER NOT NULL, environment TEXT NOT NULL,
            started TEXT NOT NULL, ended TEXT, outcome TEXT NOT NULL)""",
        """CREATE TABLE stages (
            id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs(id), name TEXT NOT NULL,
            fingerprint TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, outcome TEXT NOT NULL,
            seconds REAL, cpu_seconds REAL, peak_bytes INTEGER)""",
        """CREATE TABLE figures (
            fingerprint TEXT NOT NULL, stage TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            recorded TEXT NOT NULL, PRIMARY KEY (fingerprint, name)) WITHOUT ROWID""",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY, run_id INTEGER, at TEXT NOT NULL, kind TEXT NOT NULL,
            message TEXT NOT NULL)""",
        "CREATE INDEX stages_by_fingerprint ON stages(fingerprint)",
    ),
)
SCHEMA_VERSION = len(_MIGRATIONS)


@dataclass(frozen=True)
class StageRecord:
    """One attempt at a stage. Times are UTC in ISO 8601; seconds and peak_bytes are None until it ends."""

    name: str
    fingerprint: str
    outcome: StageOutcome
    started: str
    ended: str | None
    seconds: float | None
    cpu_seconds: float | None
    peak_bytes: int | None


@dataclass(frozen=True)
class RunRecord:
    """One call that worked on the run: the first, and each that resumed it."""

    run_id: int
    recipe: str
    seed: int
    environment: str
    started: str
    ended: str | None
    outcome: str


@dataclass(frozen=True)
class Event:
    at: str
    kind: str
    message: str


class Ledger:
    """Open with `Ledger.open` to write, `Ledger.read` to look."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ledger at `path`, made or brought to this version's schema."""
        path.parent.mkdir(parents=True, exist_ok=True)
        ledger = cls(sqlite3.connect(path, isolation_level=None), path)
        try:
            with _errors(path):
                ledger._choose_journal_mode()
                ledger._migrate()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def read(cls, path: Path) -> Self:
        """The ledger at `path`, without changing it; DamagedError where it is no ledger of this version."""
        if not path.is_file():
            raise MissingError(f"{path} is not there. `potstill run resume {path.parent}` makes it anew.")
        with _errors(path):
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ledger = cls(connection, path)
        try:
            with _errors(path):
                ledger._check_version()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def start_run(self, recipe: str, seed: int, environment: Mapping[str, Any]) -> int:
        """Begin an attempt; one that was left open by a kill is closed as interrupted."""
        self._close_open_rows()
        rows = self._write(
            "INSERT INTO runs(recipe, seed, environment, started, outcome) VALUES (?, ?, ?, ?, 'running')"
            " RETURNING id",
            (recipe, seed, json.dumps(environment, sort_keys=True), _now()),
        )
        return int(rows[0][0])

    def end_run(self, run_id: int, outcome: str) -> None:
        self._write("UPDATE runs SET ended = ?, outcome = ? WHERE id = ?", (_now(), outcome, run_id))

    def start_stage(self, run_id: int, name: str, fingerprint: str) -> int:
        rows = self._write(
            "INSERT INTO stages(run_id, name, fingerprint, started, outcome) VALUES (?, ?, ?, ?, 'running')"
            " RETURNING id",
            (run_id, name, fingerprint, _now()),
        )
        return int(rows[0][0])

    def end_stage(self, stage_id: int, outcome: StageOutcome, measured: Measured) -> None:
        self._write(
            "UPDATE stages SET ended = ?, outcome = ?, seconds = ?, cpu_seconds = ?, peak_bytes = ?"
            " WHERE id = ?",
            (_now(), outcome, measured.seconds, measured.cpu_seconds, measured.peak_bytes, stage_id),
        )

    def note_complete(self, run_id: int, name: str, fingerprint: str) -> None:
        """Add the row that a kill between the end of a stage and its record left out, if it did."""
        self._write(
            "INSERT INTO stages(run_id, name, fingerprint, started, ended, outcome)"
            " SELECT ?1, ?2, ?3, ?4, ?4, 'done'"
            " WHERE NOT EXISTS (SELECT 1 FROM stages WHERE fingerprint = ?3 AND outcome = 'done')",
            (run_id, name, fingerprint, _now()),
        )

    def record(self, stage: str, fingerprint: str, name: str, value: Any) -> None:
        """Keep a figure of a stage; the same name again replaces it."""
        self._write(
            "INSERT INTO figures VALUES (?, ?, ?, ?, ?) ON CONFLICT(fingerprint, name)"
            " DO UPDATE SET value = excluded.value, recorded = excluded.recorded",
            (fingerprint, stage, name, json.dumps(value, sort_keys=True, allow_nan=False), _now()),
        )

    def event(self, kind: str, message: str, run_id: int | None = None) -> None:
        self._write(
            "INSERT INTO events(run_id, at, kind, message) VALUES (?, ?, ?, ?)",
            (run_id, _now(), kind, message),
        )

    def runs(self) -> list[RunRecord]:
        rows = self._query(
            "SELECT id, recipe, seed, environment, started, ended, outcome FROM runs ORDER BY id"
        )
        return [RunRecord(*row) for row in rows]

    def stages(self) -> list[StageRecord]:
        rows = self._query(
            "SELECT name, fingerprint, outcome, started, ended, seconds, cpu_seconds, peak_bytes"
            " FROM stages ORDER BY id"
        )
        return [StageRecord(*row) for row in rows]

    def figures(self, fingerprint: str) -> dict[str, Any]:
        rows = self._query(
            "SELECT name, value FROM figures WHERE fingerprint = ? ORDER BY name", (fingerprint,)
        )
        return {name: json.loads(value) for name, value in rows}

    def events(self) -> list[Event]:
        return [Event(*row) for row in self._query("SELECT at, kind, message FROM events ORDER BY id")]

    def _query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with _errors(self._path):
            return self._connection.execute(statement, values).fetchall()

    # Outside a transaction every statement commits by itself, so writing needs nothing more.
    _write = _query

    def _close_open_rows(self) -> None:
        self._write("UPDATE stages SET outcome = 'interrupted', ended = ? WHERE ended IS NULL", (_now(),))
        self._write("UPDATE runs SET outcome = 'interrupted', ended = ? WHERE ended IS NULL", (_now(),))

    def _choose_journal_mode(self) -> None:
        """WAL where the file system can share memory between processes; the rollback journal elsewhere."""
        if not shares_memory(self._path.parent):
            self._connection.execute("PRAGMA journal_mode = DELETE")
        else:
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")

    @property
    def journal_mode(self) -> str:
        return str(self._query("PRAGMA journal_mode")[0][0])

    def fallback_message(self) -> str | None:
        """Why the ledger is not in WAL mode, or None where it is."""
        return None if self.journal_mode == "wal" else wal_problem(self._path.parent)

    def _check_version(self) -> int:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise DamagedError(
                f"{self._path} has schema {version}, and this potstill reads up to {SCHEMA_VERSION}. "
                f"Use the newer potstill that wrote it."
            )
        return version

    def _migrate(self) -> None:
        for version in range(self._check_version(), SCHEMA_VERSION):
            # The schema's number is part of the transaction, so a kill leaves the old schema or the new one.
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in _MIGRATIONS[version]:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {version + 1}")
            self._connection.execute("COMMIT")


def wal_problem(folder: Path) -> str | None:
    """Why a ledger in `folder` does without the write-ahead log, or None where it has it."""
    if shares_memory(folder):
        return None
    return (
        f"{folder} is on a file system ({file_system_of(folder)}) that does not support SQLite's write-ahead "
        f"log; the slower rollback journal is used. Nothing is lost."
    )


class _errors:
    """SQLite's errors in the words of this project."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, sqlite3.DatabaseError):
            return
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise DiskFull(
                f"No room left for {self._path}. Free some space and run the same command again; "
                f"what was finished before is kept."
            ) from error
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise MissingError(
                f"{self._path} cannot be opened for this ({error}). Check that it is there and that you may "
                f"write to its folder."
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DamagedError(
                f"{self._path} is damaged ({error}). It holds figures and times only: move it away, and "
                f"`potstill run resume` makes a new one."
            ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
