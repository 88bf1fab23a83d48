import csv
import gzip
import io
import json

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from potstill.errors import DamagedError, MissingError, UsageError
from potstill.records.read import place_of, read_numbered, read_records


def _jsonl(*records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def test_jsonl_is_read_line_by_line_and_blank_lines_are_no_records(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one"}\r\n\n  \n{"text": "tw\xc3\xb6", "n": [1]}')
    records = list(read_numbered(path))
    assert [tuple(record) for record in records] == [
        ({"text": "one"}, 0, 1),
        ({"text": "twö", "n": [1]}, 1, 4),
    ]
    assert place_of(path, records[1]) == f"{path}, line 4"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files_hold_the_same_records(tmp_path, suffix):
    content = _jsonl(*({"text": f"number {n} " * 50} for n in range(3000)))
    pack = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
    path = tmp_path / f"a.jsonl{suffix}"
    # Two members or frames in a row are one file, as `cat a.gz b.gz` makes it.
    half = content.index(b"\n", len(content) // 2) + 1
    path.write_bytes(pack(content[:half]) + pack(content[half:]))
    assert list(read_records(path)) == [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_cut_short_is_damaged(tmp_path, suffix):
    content = _jsonl(*({"text": f"{n * n}"} for n in range(5000)))
    pack = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
    path = tmp_path / f"a.jsonl{suffix}"
    packed = pack(content)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DamagedError, match=r"a\.jsonl.*(zstd frame|gzip)"):
        list(read_records(path))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_is_not_compressed_as_its_name_says_is_damaged(tmp_path, suffix):
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(b'{"text": "plain"}\n' * 100)
    with pytest.raises(DamagedError, match="again"):
        list(read_records(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a"', r"line 2 is not JSON \(.*column"),
        (b'["a"]', r"line 2 is a JSON list; a record is an object"),
        (b'{"text": "\xff"}', r"line 2 is not UTF-8: byte 11 of the line is 0xff\. Convert"),
        (b'{"text": "\\ud800"}', r"line 2 holds half of a surrogate pair"),
        (b"[" * 100_000, r"line 2 is not JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}", r"line 2 is not JSON that can be read"),
    ],
)
def test_a_bad_line_of_jsonl_is_named(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(DamagedError, match=message):
        list(read_records(path))


def test_an_escaped_pair_of_surrogates_is_one_character(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "\\ud83d\\ude00"}\n')
    assert list(read_records(path)) == [{"text": "😀"}]


def test_csv_fields_may_hold_commas_quotes_and_line_breaks(tmp_path):
    rows = [{"text": 'a, "b"\nc', "label": "1"}, {"text": "ü", "label": ""}]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, ["text", "label"])
    writer.writeheader()
    writer.writerows(rows)
    path = tmp_path / "a.csv"
    path.write_text(stream.getvalue(), newline="")
    assert [record.values for record in read_numbered(path)] == rows
    assert [record.line for record in read_numbered(path)] == [2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,b\nc,d,e\n", r"line 3 has 3 fields, the header names 2"),
        ("text,text\na,b\n", r"line 1 must name the columns, each once"),
        ('text\n"open\n', r"line 2 is not CSV"),
    ],
)
def test_a_bad_line_of_csv_is_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(DamagedError, match=message):
        list(read_records(path))


def test_tab_separated_files_are_csv_with_tabs(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\na, b\t1\n")
    assert list(read_records(path)) == [{"text": "a, b", "label": "1"}]


def test_parquet_rows_are_records(tmp_path):
    path = tmp_path / "a.parquet"
    rows = [{"text": f"row {n}", "scores": [n, n + 1]} for n in range(600)]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    records = list(read_numbered(path))
    assert [record.values for record in records] == rows
    assert place_of(path, records[3]) == f"{path}, record 4"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all" * 30])
def test_a_file_that_is_not_parquet_is_damaged(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="not a whole Parquet file"):
        list(read_records(path))


def test_a_parquet_file_cut_short_is_damaged(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["a"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedError, match="not a whole Parquet file"):
        list(read_records(path))


def test_text_has_a_record_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\n\ntwo\x85still\n")
    with pytest.raises(DamagedError, match="line 3 is not UTF-8"):
        list(read_records(path))
    path.write_text("one\r\n\ntwo\x85still\n", newline="")
    assert list(read_records(path)) == [{"text": "one"}, {"text": "two\x85still"}]


def test_what_is_not_there_or_has_no_reader_is_said(tmp_path):
    with pytest.raises(MissingError, match="does not exist"):
        list(read_records(tmp_path / "none.jsonl"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(MissingError, match="is a folder"):
        list(read_records(tmp_path / "folder.jsonl"))
    for name in ("a.pdf", "a", "a.gz", "a.parquet.gz"):
        with pytest.raises(UsageError, match=r"\.jsonl"):
            list(read_records(tmp_path / name))
