import numpy as np
import pytest

from potstill.corpus.checked_file import CheckedFile
from potstill.corpus.checksums import BLOCK_BYTES, read_checksums, verify_file, write_checksums
from potstill.errors import DamagedError, MissingError


@pytest.fixture
def folder(tmp_path):
    chance = np.random.default_rng(0)
    for name, size in (("b.bin", 3 * BLOCK_BYTES + 5), ("a.bin", BLOCK_BYTES), ("empty.bin", 0)):
        (tmp_path / name).write_bytes(chance.bytes(size))
    return tmp_path


def test_sums_come_back_by_name(folder):
    checked = write_checksums(folder, ["b.bin", "a.bin", "empty.bin"])
    sums = read_checksums(folder, checked)
    assert {name: len(blocks) for name, blocks in sums.items()} == {"a.bin": 1, "b.bin": 4, "empty.bin": 0}
    for name, blocks in sums.items():
        verify_file(folder / name, blocks)


def test_an_altered_block_is_named_by_its_first_byte(folder):
    checked = write_checksums(folder, ["b.bin"])
    sums = read_checksums(folder, checked)["b.bin"]
    with open(folder / "b.bin", "r+b") as file:
        file.seek(2 * BLOCK_BYTES + 9)
        file.write(b"altered")
    with pytest.raises(DamagedError, match="byte 131,072"):
        verify_file(folder / "b.bin", sums)
    opened = CheckedFile(folder / "b.bin", 3 * BLOCK_BYTES + 5, sums)
    assert opened.read(0, 2 * BLOCK_BYTES).tobytes() == (folder / "b.bin").read_bytes()[: 2 * BLOCK_BYTES]
    with pytest.raises(DamagedError, match="byte 131,072"):
        opened.read(2 * BLOCK_BYTES - 1, 2 * BLOCK_BYTES + 1)
    with pytest.raises(DamagedError, match="asked for"):
        opened.read(0, 3 * BLOCK_BYTES + 6)


def test_altered_sums_and_missing_files_are_told(folder):
    checked = write_checksums(folder, ["a.bin", "b.bin"])
    content = bytearray((folder / "checksums.bin").read_bytes())
    content[5] ^= 1
    (folder / "checksums.bin").write_bytes(content)
    with pytest.raises(DamagedError, match=r"checksums\.bin, byte 0"):
        read_checksums(folder, checked)
    (folder / "a.bin").unlink()
    with pytest.raises(MissingError, match=r"a\.bin"):
        read_checksums(folder, checked)
