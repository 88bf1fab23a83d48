"""Files of a segment that are not what was written: an error naming file and byte, or the right answer."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.naive import Naive
from index.naive_build import packed_symbols, symbols_of
from native_segments import document_rows, make_reader, make_segment, recorded, write_segment
from potstill._native import CancelledError, DamagedFileError, Reader, Segment, Work

DOCUMENTS = [[1, 2, 1, 2, 0], [], [2, 1, 2]]
FILES = (
    "tokens.bin",
    "documents.bin",
    "suffixes.bin",
    "unigrams.bin",
    "bigram_rows.bin",
    "bigram_seconds.bin",
    "bigram_ranks.bin",
)
BLOCK = 64 * 1024


@pytest.fixture
def written(tmp_path):
    """The folder of a segment and what it is opened with."""
    shape = write_segment(tmp_path, DOCUMENTS, 3)
    return tmp_path, {**shape, **recorded(tmp_path)}


def answers(reader: Reader) -> list[object]:
    text = [1, 2, 1, 0, 2]
    return [
        [reader.count(text[at : at + n]) for at in range(5) for n in range(5 - at)],
        [each.tolist() for n in range(4) for each in reader.next(text[:n])[:2]],
        [each.tolist() for each in reader.score(text)],
        [each.tolist() for each in reader.spans(text)],
        [each.tolist() for each in reader.documents(0, reader.positions(0, 0, 8))],
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_named_or_does_not_matter(written, name):
    folder, options = written
    right = answers(Reader([Segment(folder, **options)], [1]))
    content = (folder / name).read_bytes()
    for at in range(len(content)):
        (folder / name).write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        try:
            assert answers(Reader([Segment(folder, **options)], [1])) == right
        except DamagedFileError as error:
            assert re.search(rf"{name}, byte \d+", str(error))
        with pytest.raises(DamagedFileError, match=name):
            Segment(folder, **options).verify(Work())


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_size_is_named_when_it_is_opened(written, name):
    folder, options = written
    content = (folder / name).read_bytes()
    for size in range(len(content)):
        (folder / name).write_bytes(content[:size])
        with pytest.raises(DamagedFileError, match=f"{name}, byte {size}: is cut short"):
            Segment(folder, **options)
    (folder / name).write_bytes(content + b"\0")
    with pytest.raises(DamagedFileError, match=f"{name}, byte {len(content)}: is longer"):
        Segment(folder, **options)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_is_a_system_error(written, name):
    folder, options = written
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        Segment(folder, **options)
    assert Path(caught.value.filename).name == name


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(FILES), content=st.binary(min_size=40, max_size=40), seed=st.integers(0, 2**32))
def test_harmful_files_with_right_checksums_are_refused_or_answered(tmp_path_factory, name, content, seed):
    folder = tmp_path_factory.mktemp("segment")
    shape = write_segment(folder, DOCUMENTS, 3)
    size = (folder / name).stat().st_size
    (folder / name).write_bytes((content * size)[seed % 40 :][:size])
    try:
        segment = Segment(folder, **shape, **recorded(folder))
        answers(Reader([segment], [1]))
    except DamagedFileError as error:
        assert "byte" in str(error)


@pytest.mark.parametrize(
    "change",
    [
        {"symbol_bytes": 0},
        {"symbol_bytes": 5},
        {"num_symbols": 2**60},
        {"num_tokens": 9},
        {"num_documents": 2**64 - 1},
        {"vocab_size": 0},
        {"vocab_size": 2**32 - 1},
        {"position_bits": 58},
        {"num_bigrams": 100},
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(written, change):
    folder, options = written
    with pytest.raises(ValueError, match="must"):
        Segment(folder, **{**options, **change})


@pytest.mark.parametrize("change", [{"symbol_bytes": 2}, {"vocab_size": 4}, {"num_bigrams": 3}])
def test_numbers_that_do_not_fit_the_files_are_damage(written, change):
    folder, options = written
    with pytest.raises(DamagedFileError, match="numbers of the segment"):
        Segment(folder, **{**options, **change})


def test_a_record_without_a_file_is_refused(written):
    folder, options = written
    del options["files"]["suffixes.bin"]
    with pytest.raises(ValueError, match=r"suffixes\.bin"):
        Segment(folder, **options)


def test_only_the_block_that_is_read_is_verified(tmp_path):
    """Damage far away does not keep an index from answering; verify finds it."""
    document = np.random.default_rng(1).integers(0, 50_000, 40_000).tolist()
    (tmp_path / "tokens.bin").write_bytes(packed_symbols(symbols_of([document]), 2))
    (tmp_path / "documents.bin").write_bytes(document_rows([document]))
    (tmp_path / "suffixes.bin").write_bytes(bytes(40_000 * 16 // 8 + 8))
    shape = {"symbol_bytes": 2, "num_symbols": 40_001, "num_tokens": 40_000, "num_documents": 1}
    options = {**shape, "vocab_size": 50_000, "position_bits": 16, "num_bigrams": None, **recorded(tmp_path)}
    with (tmp_path / "tokens.bin").open("r+b") as file:
        file.seek(BLOCK + 5)
        file.write(b"\xff")
    reader = Reader([Segment(tmp_path, **options)], [1])
    assert reader.symbols(0, 0, 100).tolist() == [token + 1 for token in document[:100]]
    with pytest.raises(DamagedFileError, match=rf"tokens\.bin, byte {BLOCK}"):
        reader.symbols(0, 0, 40_000)
    with pytest.raises(DamagedFileError, match=rf"tokens\.bin, byte {BLOCK}"):
        Segment(tmp_path, **options).verify(Work())


def test_an_open_segment_outlives_its_folder(tmp_path):
    folder = tmp_path / "segment"
    reader = Reader([make_segment(folder, DOCUMENTS, 3)], [1])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert reader.count([1, 2]) == Naive(DOCUMENTS).count([1, 2]) == 3


def test_paths_need_not_be_utf8(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    assert make_reader(folder, [(DOCUMENTS, 1)], 3).count([1, 2]) == 3
    inner = folder / "0"
    options = {**write_segment(inner, DOCUMENTS, 3), **recorded(inner)}
    (inner / "tokens.bin").write_bytes(b"")
    with pytest.raises(DamagedFileError, match="cut short") as caught:
        Segment(inner, **options)
    assert os.fsencode(inner) in os.fsencode(str(caught.value))


def test_verify_can_be_cancelled(tmp_path):
    work = Work()
    work.cancel()
    with pytest.raises(CancelledError):
        make_segment(tmp_path, DOCUMENTS, 3).verify(work)
