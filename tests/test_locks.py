"""One writer a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from potstill.errors import LockedError, UsageError
from potstill.locks import locked

HOLD = (
    "import sys; from pathlib import Path; from potstill.locks import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
)


def test_another_process_is_refused_by_name_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"process {holder.pid}"), locked(tmp_path):
            pass
        holder.kill()
        holder.communicate()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UsageError, match="cannot be made a folder.*Name another one"),
        locked(tmp_path / name),
    ):
        pass


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear all")
    (tmp_path / ".lock").symlink_to(tmp_path / "letter")
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path):
        pass
    assert (tmp_path / "letter").read_text() == "Dear all"
