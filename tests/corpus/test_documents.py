import gzip
import json

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from potstill.corpus import documents
from potstill.corpus.documents import read_documents
from potstill.errors import DamagedError, MissingError, UsageError


def test_a_text_file_is_one_document_with_its_line_breaks(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffErste Zeile.\r\nZweite übel.\n".encode())
    [document] = read_documents([path])
    assert document.text == "Erste Zeile.\r\nZweite übel.\n"
    assert (document.record, document.line, document.char_start, document.byte_start) == (0, 1, 0, 3)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_byte_span_is_where_the_file_holds_the_text(tmp_path, pack, monkeypatch):
    monkeypatch.setattr(documents, "_PART_CHARS", 40)
    suffix = {bytes: "", gzip.compress: ".gz"}.get(pack, ".zst")
    content = "\n\n".join(f"Absatz {n}: süß und 東京 {n * n}." for n in range(20)).encode()
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(pack(content))
    parts = list(read_documents([path]))
    assert len(parts) > 5
    assert "".join(part.text for part in parts) == content.decode()
    assert [part.record for part in parts] == list(range(len(parts)))
    for part in parts:
        first, last = part.byte_span(3, 12)
        assert content[first:last].decode() == part.text[3:12]
        assert content.decode()[part.char_start :].startswith(part.text)
        assert content.decode().split("\n")[part.line - 1] == part.text.split("\n")[0]


def test_a_long_text_without_blank_lines_is_cut_at_line_breaks(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "_PART_CHARS", 10)
    monkeypatch.setattr(documents, "_LONGEST_PART_CHARS", 30)
    path = tmp_path / "a.txt"
    path.write_text("twelve chars\n" * 9)
    assert [part.text for part in read_documents([path])] == ["twelve chars\n" * 3] * 3


def test_records_give_a_document_each_with_line_and_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"input": "one", "id": 1}\n\n{"input": null}\n{"input": "  "}\n{"input": "two"}\n')
    found = list(read_documents([path]))
    assert [(document.text, document.record, document.line) for document in found] == [
        ("one", 0, 1),
        ("two", 3, 5),
    ]
    assert found[0].byte_span(0, 2) is None


def test_the_first_known_field_holds_the_text_unless_one_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({"content": "c", "text": "t", "title": "h"}) + "\n" + json.dumps({"document": "d"}) + "\n"
    )
    assert [document.text for document in read_documents([path])] == ["t", "d"]
    with pytest.raises(UsageError, match=r"line 2 has no field title; it has document"):
        list(read_documents([path], field="title"))


def test_parquet_and_csv_are_read_too(tmp_path):
    parquet.write_table(pa.table({"text": ["p"], "n": [1]}), tmp_path / "b.parquet")
    (tmp_path / "a.csv").write_text("n,text\n1,c\n")
    found = list(read_documents([tmp_path]))
    assert [(document.text, document.path.name, document.line) for document in found] == [
        ("c", "a.csv", 2),
        ("p", "b.parquet", None),
    ]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            b'{"title": "x"}\n',
            UsageError,
            r"line 1 has no field text or input or content or document; it has title",
        ),
        (b'{"text": ["x"]}\n', UsageError, r"line 1: text is a list, not text"),
        (b'{"text": "\xe9"}\n', DamagedError, r"line 1 is not UTF-8"),
        (b"", MissingError, r"No text in "),
        (b'{"text": " "}\n', MissingError, r"No text in "),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path, content, error, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        list(read_documents([path]))


def test_a_text_file_that_is_not_utf8_names_the_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(DamagedError, match=r"a\.txt, line 2 is not UTF-8: byte 3"):
        list(read_documents([tmp_path]))
