"""Corpora without some documents, of indexes that have grown and shrunk; and what tracing says of those."""

import json
from pathlib import Path

import pytest

from potstill.corpus.build import build_corpus
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import MissingError, RefusedError, UsageError
from potstill.files import write_text
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add, delete
from potstill.index.contamination import EvalRecord, contamination, holding_documents
from potstill.index.decontamination import indexed, write_without
from potstill.index.merge import merge_index
from potstill.index.reader import Index
from potstill.index.shards import open_any
from potstill.index.tracing import TraceSettings, trace

MEMORY = 1 << 26
PLANTED = "one two three four five six seven eight nine ten eleven twelve thirteen"
TEXTS = ["first", f"a {PLANTED} b", "third", f"{PLANTED} again", "fifth", f"and {PLANTED}"]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Two segments of three documents; document 3 is deleted."""
    for name, texts in {"a": TEXTS[:3], "b": TEXTS[3:]}.items():
        rows = [json.dumps({"text": text}) + "\n" for text in texts]
        write_text(tmp_path / f"{name}.jsonl", "".join(rows))
    folder, settings = tmp_path / "index", BuildSettings(MEMORY)
    build_index([tmp_path / "a.jsonl"], folder, ByteVocabulary(), settings)
    add(folder, [tmp_path / "b.jsonl"], settings)
    delete(folder, documents=[3], memory_bytes=MEMORY)
    return folder


def texts_of(folder: Path) -> list[str]:
    store = Store(folder)
    return [bytes(store.tokens(number).astype("u1")).decode() for number in range(store.num_documents)]


def test_every_segment_is_looked_at_and_deleted_documents_are_not(index: Path, tmp_path: Path) -> None:
    record = EvalRecord(Path("eval"), 0, "eval, line 1", (PLANTED,))
    with Index.open(index) as opened:
        assert holding_documents(opened, contamination(opened, [record])) == (1, 5)
    write_without(open_any(index), {1: {"reason": "x"}, 5: {"reason": "y"}}, tmp_path / "out")
    assert texts_of(tmp_path / "out") == ["first", "third", "fifth"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "dropped.jsonl").read_text().splitlines()]
    assert [(row["document"], Path(row["path"]).name, row["record"], row["reason"]) for row in rows] == [
        (1, "a.jsonl", 1, "x"),
        (5, "b.jsonl", 2, "y"),
    ]
    with pytest.raises(UsageError):
        write_without(open_any(index), {}, tmp_path / "out")


def test_what_is_written_is_what_the_sources_without_these_documents_give(
    index: Path, tmp_path: Path
) -> None:
    write_without(open_any(index), {1: {}, 5: {}, 2: {}, 4: {}}, tmp_path / "out")
    write_text(tmp_path / "a.jsonl", json.dumps({"text": "first"}) + "\n")
    build_corpus([tmp_path / "a.jsonl"], tmp_path / "afresh", ByteVocabulary())
    for name in ("tokens.bin", "documents.bin"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "afresh" / name).read_bytes()


def test_numbers_stay_those_of_the_generation_that_was_asked(index: Path, tmp_path: Path) -> None:
    opened = open_any(index)
    merge_index(index, BuildSettings(MEMORY).sort)
    write_without(opened, {4: {}}, tmp_path / "out")
    assert texts_of(tmp_path / "out") == [TEXTS[number] for number in (0, 1, 2, 5)]


def test_a_corpus_of_nothing_is_not_written(index: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="No document"):
        write_without(open_any(index), {number: {} for number in (0, 1, 2, 4, 5)}, tmp_path / "out")
    assert not (tmp_path / "out" / "corpus.json").exists()


def test_a_trace_knows_nothing_of_deleted_documents(index: Path) -> None:
    with Index.open(index) as opened:
        traced = trace(opened, f"{PLANTED} again", TraceSettings(density=1.0))
    assert [(span.text, span.count) for span in traced.spans] == [(PLANTED, 2)]
    assert sorted(document.number for document in traced.documents) == [1, 5]


def test_a_corpus_is_indexed_for_as_long_as_it_is_asked(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "some text")
    build_corpus([tmp_path / "a.txt"], tmp_path / "corpus", ByteVocabulary())
    before = sorted(tmp_path.iterdir())
    with indexed(tmp_path / "corpus", memory_bytes=MEMORY) as folder, Index.open(folder) as opened:
        assert opened.count("text") == 1
    assert sorted(tmp_path.iterdir()) == before
    with (
        pytest.raises(MissingError, match="neither a corpus nor an index"),
        indexed(tmp_path, memory_bytes=MEMORY),
    ):
        pass
