"""Records survive a crash between any two bytes."""

from pathlib import Path

import pytest

from potstill.journal import Journal

RECORDS = [{"step": 1, "loss": 0.5}, {"step": 2, "text": "é\n"}]


def test_a_file_cut_at_any_byte_gives_the_whole_records_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for record in RECORDS:
        Journal(path).append(record)
    content = path.read_bytes()
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        whole = RECORDS[: content[:cut].count(b"\n")]
        assert list(Journal(path).records()) == whole
        Journal(path).append({"step": 3})
        assert list(Journal(path).records()) == [*whole, {"step": 3}]


def test_only_the_first_records_are_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    assert list(journal.records()) == []
    for record in RECORDS:
        journal.append(record)
    journal.keep(1)
    assert list(journal.records()) == RECORDS[:1]


def test_nan_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        journal.append({"loss": float("nan")})
    assert list(journal.records()) == []
