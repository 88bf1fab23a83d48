"""docs/formats/corpus.md against the code, and a reader written from that page alone."""

import dataclasses
import hashlib
import json
import os
import re
import struct
from typing import get_args

import pytest

from corpus.test_byte_offsets import DOCUMENTS, plain_spans, stored
from corpus.vocabularies import NAMES, TEXT, vocabulary
from pages import Page
from potstill.corpus import byte_offsets, checksums, manifest
from potstill.corpus import vocabulary as vocabularies
from potstill.corpus.build import build_corpus
from potstill.corpus.manifest import StoreFacts
from potstill.corpus.store import Source
from potstill.records.formats import Compression, Kind
from source_tree import ROOT

PAGE = (ROOT / "docs" / "formats" / "corpus.md").read_text()


def table(heading, page=PAGE):
    """The first cell of each row, without its backquotes, of the first table under a heading."""
    rows = re.split(rf"^{re.escape(heading)}$", page, maxsplit=1, flags=re.MULTILINE)[1]
    lines = re.findall(r"(?:^\|.*\n)+", rows, re.MULTILINE)[0].splitlines()[2:]
    return [line.split("|")[1].strip().strip("`") for line in lines]


def test_the_tables_name_what_the_code_writes():
    assert table("## documents.bin") == [name for name, _ in manifest.DOCUMENT_ROW]
    assert table("## sources.jsonl") == list(Source._fields)
    keys = table("The content of `corpus.json`, schema `potstill.corpus/1`:")
    assert keys == [field.name for field in dataclasses.fields(StoreFacts)]
    kinds = [str(kind) for kind in (byte_offsets.SPELLED, byte_offsets.PREFIXED, byte_offsets.LISTED)]
    assert re.findall(r"^\| (\d) \| `([A-Z]+)`", PAGE, re.MULTILINE) == list(
        zip(kinds, ("SPELLED", "PREFIXED", "LISTED"), strict=True)
    )


def test_the_numbers_of_the_page_are_those_of_the_code():
    assert f"B = ceil(S / {byte_offsets.BLOCK_SYMBOLS})" in PAGE
    assert f"block of {checksums.BLOCK_BYTES:,} bytes" in PAGE
    assert f"A row of {manifest.DOCUMENT_BYTES} bytes" in PAGE
    assert f"then {manifest.PADDING_BYTES} zero bytes" in PAGE
    assert {manifest.CORPUS_SCHEMA, vocabularies.VOCABULARY_SCHEMA} == set(
        re.findall(r"potstill\.\w+/\d", PAGE)
    )
    assert byte_offsets.HEADER_BYTES == 3 * 8
    for name in (*get_args(Kind), *get_args(Compression)):
        assert f"`{name}`" in PAGE


def test_a_corpus_has_the_files_of_the_page_and_no_others(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    build_corpus([tmp_path / "a.txt"], tmp_path / "out", vocabulary("byte-level"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        name.rstrip("/") for name in table("# A corpus on the disk")
    } - {"dropped.jsonl"}
    assert Page(ROOT / "docs" / "formats" / "corpus.md").links


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_written_from_the_page_reads_every_corpus(tmp_path, name):
    store = stored(tmp_path, DOCUMENTS, vocabulary(name))
    facts = unsealed(tmp_path / "store" / "corpus.json")
    check_sums(tmp_path / "store", facts)
    symbols = read_tokens(tmp_path / "store", facts)
    rows = read_rows(tmp_path / "store", facts)
    sources = (tmp_path / "store" / "sources.jsonl").read_text("ascii").splitlines()
    spans = read_spans(tmp_path / "store", facts, symbols, vocabulary(name))
    assert facts["num_documents"] == len(DOCUMENTS) == len(rows) - 1
    for document, content in enumerate(DOCUMENTS):
        first, byte_start, source, record = rows[document]
        stop = rows[document + 1][0] - 1
        assert symbols[stop] == 0 and (byte_start, record) == (0, 0)
        ids = vocabulary(name).encode_documents([content])[0].tolist()
        assert [symbol - 1 for symbol in symbols[first:stop]] == ids
        assert spans[first:stop] == plain_spans(vocabulary(name), content)
        with open(os.fsencode(json.loads(sources[source])["path"]), "rb") as file:
            assert file.read() == content
    assert store.num_tokens == facts["num_tokens"]


def unsealed(path):
    sealed = json.loads(path.read_text())
    canonical = json.dumps(sealed["content"], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert sealed["sha256"] == hashlib.sha256(canonical.encode()).hexdigest()
    return sealed["content"]


def crc32c(content):
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def blocks(content):
    return [crc32c(content[place : place + 65536]) for place in range(0, len(content), 65536)]


def check_sums(folder, facts):
    assert crc32c(b"123456789") == 0xE3069283
    sums = (folder / "checksums.bin").read_bytes()
    found = [each for name in sorted(facts["files"]) for each in blocks((folder / name).read_bytes())]
    assert list(struct.unpack(f"<{len(sums) // 4}I", sums)) == found
    assert blocks(sums) == facts["checksums_crc32c"]
    assert {name: (folder / name).stat().st_size for name in facts["files"]} == facts["files"]


def read_tokens(folder, facts):
    content, width = (folder / "tokens.bin").read_bytes(), facts["symbol_bytes"]
    assert len(content) == facts["num_symbols"] * width + 8 and content[-8:] == bytes(8)
    return [
        int.from_bytes(content[place : place + width], "little")
        for place in range(0, len(content) - 8, width)
    ]


def read_rows(folder, facts):
    rows = list(struct.iter_unpack("<QQII", (folder / "documents.bin").read_bytes()))
    assert rows[-1] == (facts["num_symbols"], 0, 0, 0)
    return rows


def numbers_of(spans):
    value = shift = 0
    for byte in spans:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


def read_spans(folder, facts, symbols, vocabulary):
    """(start, stop) of every symbol, by a walk over all of them."""
    if facts["vocabulary"]["kind"] == "bytes":
        kinds, listed, starts, num_blocks = {0: 0}, iter(()), [], 0
    else:
        content = (folder / "offsets.bin").read_bytes()
        num_blocks, num_runs, span_bytes = struct.unpack_from("<3Q", content)
        words = struct.unpack_from(f"<{num_blocks + num_runs}Q", content, 24)
        starts = words[:num_blocks]
        kinds = {word // 4: word % 4 for word in words[num_blocks:]}
        assert len(content) == 24 + 8 * (len(words) + (num_blocks if span_bytes else 0)) + span_bytes
        listed = numbers_of(content[len(content) - span_bytes :])
    spans, stopped, kind, begins = [], 0, 0, True
    for place, symbol in enumerate(symbols):
        assert place % 64 or not num_blocks or starts[place // 64] == stopped
        kind = kinds.get(place, kind)
        start, size = stopped, 0
        if symbol and kind == 2:
            gap, size = next(listed), next(listed)
            start += gap // 2 if gap % 2 == 0 else -(gap + 1) // 2
        elif symbol:
            size = len(vocabulary.token_bytes(symbol - 1)) - (kind == 1 and begins)
        spans.append((start, start + size))
        stopped, begins = (start + size, False) if symbol else (0, True)
    assert next(listed, None) is None
    return spans
