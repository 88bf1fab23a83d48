import sqlite3
from pathlib import Path

import pytest

from potstill.errors import DamagedError, DiskFull, MissingError
from potstill.meters import Measured
from potstill.runs import ledger as ledger_module
from potstill.runs.file_systems import file_system_of, shares_memory
from potstill.runs.ledger import SCHEMA_VERSION, Ledger


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        run_id = ledger.start_run("recipe", 3, {"torch": "2"})
        stage_id = ledger.start_stage(run_id, "pairs", "f" * 64)
        ledger.record("pairs", "f" * 64, "kept", 1)
        ledger.record("pairs", "f" * 64, "kept", {"share": 0.5})
        ledger.event("note", "hello", run_id)
        ledger.end_stage(stage_id, "done", Measured(1.5, 2.5, 100))
        ledger.end_run(run_id, "done")
    with Ledger.read(path) as ledger:
        assert ledger.figures("f" * 64) == {"kept": {"share": 0.5}}
        (stage,), (run,), (event,) = ledger.stages(), ledger.runs(), ledger.events()
    assert (stage.outcome, stage.seconds, stage.cpu_seconds, stage.peak_bytes) == ("done", 1.5, 2.5, 100)
    assert (run.seed, run.outcome, run.environment) == (3, "done", '{"torch": "2"}')
    assert (event.kind, event.message) == ("note", "hello")


def test_an_attempt_that_a_kill_left_open_is_closed_by_the_next(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l") as ledger:
        ledger.start_stage(ledger.start_run("", 0, {}), "a", "f")
        ledger.start_run("", 0, {})
        assert [run.outcome for run in ledger.runs()] == ["interrupted", "running"]
        assert [stage.outcome for stage in ledger.stages()] == ["interrupted"]


def test_a_newer_schema_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.execute("CREATE TABLE future (x)")
    connection.close()
    for opening in (Ledger.open, Ledger.read):
        with pytest.raises(DamagedError, match=f"schema {SCHEMA_VERSION + 1}"):
            opening(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("future",)]
    connection.close()


def test_a_migration_that_fails_half_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l"
    Ledger.open(path).close()
    broken = (*ledger_module._MIGRATIONS, ("CREATE TABLE extra (x)", "no such statement"))
    monkeypatch.setattr(ledger_module, "_MIGRATIONS", broken)
    monkeypatch.setattr(ledger_module, "SCHEMA_VERSION", len(broken))
    with pytest.raises(sqlite3.OperationalError):
        Ledger.open(path)
    monkeypatch.undo()
    with Ledger.open(path) as ledger:
        assert ledger.runs() == []
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone() == (
            0,
        )
    connection.close()


@pytest.mark.parametrize(
    "damage", [b"not a database at all, but long enough to be looked at" * 40, b"SQLite format 3\x00"]
)
def test_a_damaged_ledger_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(damage)
    with pytest.raises(DamagedError, match="ledger.sqlite is damaged"):
        Ledger.open(path)


def test_a_missing_ledger_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        Ledger.read(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l") as ledger:
        ledger._query("PRAGMA max_page_count = 12")
        with pytest.raises(DiskFull, match="No room left"):
            for index in range(100):
                ledger.record("a", "f", f"figure {index}", "x" * 4000)


def test_the_write_ahead_log_is_used_on_a_local_disk(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l") as ledger:
        assert ledger.journal_mode == "wal" and ledger.fallback_message() is None


def test_a_network_file_system_gets_the_rollback_journal_and_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "shares_memory", lambda folder: False)
    with Ledger.open(tmp_path / "l") as ledger:
        assert ledger.journal_mode == "delete"
        message = ledger.fallback_message()
        assert message is not None and "write-ahead log" in message
        ledger.start_run("", 0, {})


def test_the_file_system_is_the_longest_mount_above(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    real = tmp_path.resolve()
    mounts.write_text(
        f"dev / ext4 rw 0 0\nserver:/x {real}/far\\040away nfs4 rw 0 0\nsshfs {real}/ssh fuse.sshfs rw 0 0\n"
    )
    assert file_system_of(tmp_path / "far away" / "runs", mounts) == "nfs4"
    assert file_system_of(tmp_path / "far", mounts) == "ext4"
    assert file_system_of(tmp_path, tmp_path / "none") == "unknown"
    assert shares_memory(tmp_path)
