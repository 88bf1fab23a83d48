"""Building a corpus: what is read, that it is exact, and what happens when it is interrupted."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from corpus.vocabularies import NAMES, TEXT, vocabulary
from potstill.corpus import store_writer
from potstill.corpus.build import build_corpus, build_store
from potstill.corpus.source_files import find_source_files
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import (
    ConfigError,
    DamagedError,
    DiskFull,
    LockedError,
    MissingError,
    PotstillError,
    UsageError,
)
from potstill.locks import locked

TEXTS = ["one the", "", "  ", "three\r\nthe", TEXT]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def documents_of(corpus):
    store = Store(corpus)
    store.verify()
    return [store.vocabulary.bytes_of(ids) for ids in store.each_document()]


def write_sources(folder):
    folder.mkdir()
    records = [{"text": text, "n": 1} for text in TEXTS]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    (folder / "a.jsonl").write_bytes(lines)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    parquet.write_table(pa.Table.from_pylist(records), folder / "c.parquet")
    with open(folder / "d.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([["id", "text"], *([number, text] for number, text in enumerate(TEXTS))])
    (folder / "e.py").write_bytes(b"print()\r\n")
    (folder / "f.md.zst").write_bytes(zstandard.compress(b"# packed\n"))
    (folder / "g.log.gz").write_bytes(gzip.compress(b"packed too\n"))
    (folder / "h.txt").write_bytes(b"\xef\xbb\xbfmark \xff\r\n")
    (folder / "i.txt").write_bytes(b"")
    (folder / "j.txt").write_bytes(b"1")
    (folder / "k.weird").write_bytes(b"no\0text")
    return folder


def test_every_kind_of_source_gives_its_documents(tmp_path):
    sources = write_sources(tmp_path / "sources")
    built = build_corpus([sources], tmp_path / "out", ByteVocabulary())
    plain = [b"print()\r\n", b"# packed\n", b"packed too\n", b"\xef\xbb\xbfmark \xff\r\n", b"", b"1"]
    assert documents_of(tmp_path / "out") == [text.encode() for text in TEXTS] * 4 + plain
    assert [each.path.name for each in built.passed_over] == ["k.weird"]
    store = Store(tmp_path / "out")
    assert [store.source(number).kind for number in range(4)] == ["jsonl", "jsonl", "parquet", "csv"]
    assert [store.document(document).record for document in range(7)] == [0, 1, 2, 3, 4, 0, 1]
    assert built.facts.num_bytes == built.facts.num_tokens == sum(map(len, documents_of(tmp_path / "out")))


@pytest.mark.parametrize("name", NAMES)
def test_equal_sources_give_equal_bytes_and_nothing_else_is_left(tmp_path, name):
    sources = write_sources(tmp_path / "sources")
    for folder in ("one", "other"):
        build_corpus([sources], tmp_path / folder, vocabulary(name), workers=1)
    one, other = contents(tmp_path / "one"), contents(tmp_path / "other")
    del one[".lock"], other[".lock"]
    assert one == other
    expected = {"tokens.bin", "documents.bin", "sources.jsonl", "checksums.bin", "corpus.json"}
    assert {path for path in one if "/" not in path} == expected | (
        {"offsets.bin"} - {name == "bytes" and "offsets.bin"}
    )


def test_a_byte_order_mark_is_no_token_but_counts_in_the_file(tmp_path):
    (tmp_path / "mark.txt").write_bytes(b"\xef\xbb\xbfthe dog")
    build_corpus([tmp_path / "mark.txt"], tmp_path / "out", vocabulary("byte-level"))
    store = Store(tmp_path / "out")
    assert store.vocabulary.bytes_of(store.tokens(0)) == b"the dog"
    found = store.locate(0, 0, store.num_tokens)
    assert (found.byte_start, found.byte_stop) == (3, 10)


def test_a_byte_of_255_makes_every_symbol_two_bytes_wide(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"plain" * 9)
    (tmp_path / "b.txt").write_bytes(b"\xff")
    for names, width in ((["a.txt"], 1), (["a.txt", "b.txt"], 2)):
        out = tmp_path / f"out{width}"
        built = build_corpus([tmp_path / name for name in names], out, ByteVocabulary())
        assert built.facts.symbol_bytes == width
        assert documents_of(out) == [(tmp_path / name).read_bytes() for name in names]


def test_a_path_that_is_no_utf8_is_found_again(tmp_path):
    folder = os.fsencode(tmp_path / "f")
    os.mkdir(folder)
    with open(folder + b"/\xff \xe6\x97\xa5.txt", "wb") as file:
        file.write(b"the dog")
    build_corpus([tmp_path / "f"], tmp_path / "out", ByteVocabulary())
    found = Store(tmp_path / "out").locate(0, 4, 3)
    assert found.path.read_bytes()[found.byte_start : found.byte_stop] == b"dog"


def test_a_table_in_a_folder_of_code_is_text_and_a_named_one_must_fit(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "numbers.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "t" / "broken.jsonl").write_bytes(b"{not json\n")
    parquet.write_table(pa.Table.from_pylist([{"a": 1}]), tmp_path / "t" / "p.parquet")
    built = build_corpus([tmp_path / "t"], tmp_path / "out", ByteVocabulary())
    assert documents_of(tmp_path / "out") == [b"{not json\n", b"a,b\n1,2\n"]
    assert [each.path.name for each in built.passed_over] == ["p.parquet"]
    with pytest.raises(UsageError, match="no field text"):
        build_corpus([tmp_path / "t" / "numbers.csv"], tmp_path / "out2", ByteVocabulary())
    with pytest.raises(DamagedError, match="line 1"):
        build_corpus([tmp_path / "t" / "broken.jsonl"], tmp_path / "out2", ByteVocabulary())
    (tmp_path / "t" / "broken.jsonl").unlink()
    with pytest.raises(UsageError, match="no field a2"):
        build_corpus([tmp_path / "t"], tmp_path / "out2", ByteVocabulary(), field="a2")


def test_a_file_in_a_folder_that_is_not_packed_as_its_name_says_is_passed_over(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.gz").write_bytes(b"x^not gzip")
    (tmp_path / "f" / "b.zst").write_bytes(b"nor zstd")
    (tmp_path / "f" / "c.txt").write_bytes(b"text")
    built = build_corpus([tmp_path / "f"], tmp_path / "out", ByteVocabulary())
    assert documents_of(tmp_path / "out") == [b"text"]
    assert [each.path.name for each in built.passed_over] == ["a.gz", "b.zst"]
    with pytest.raises(DamagedError, match=r"a\.gz"):
        build_corpus([tmp_path / "f" / "a.gz"], tmp_path / "out2", ByteVocabulary())
    # What begins well and ends early is a loss that has to be known.
    (tmp_path / "f" / "a.gz").write_bytes(gzip.compress(b"text" * 5000)[:-20])
    with pytest.raises(DamagedError, match=r"a\.gz"):
        build_corpus([tmp_path / "f"], tmp_path / "out2", ByteVocabulary())


def test_files_that_go_or_become_pipes_after_they_were_found_are_passed_over(tmp_path, monkeypatch):
    (tmp_path / "f").mkdir()
    for name in ("a.txt", "b.txt", "c.jsonl", "d.txt"):
        (tmp_path / "f" / name).write_text("text")

    def find(sources):
        found = find_source_files(sources)
        (tmp_path / "f" / "a.txt").unlink()
        for name in ("b.txt", "c.jsonl"):
            (tmp_path / "f" / name).unlink()
            os.mkfifo(tmp_path / "f" / name)
        return found

    monkeypatch.setattr("potstill.corpus.build.find_source_files", find)
    built = build_corpus([tmp_path / "f"], tmp_path / "out", ByteVocabulary())
    assert documents_of(tmp_path / "out") == [b"text"]
    assert [(each.path.name, each.reason) for each in built.passed_over] == [
        ("a.txt", "No such file or directory"),
        ("b.txt", "no ordinary file"),
        ("c.jsonl", "no ordinary file"),
    ]


def test_a_misspelt_source_leaves_no_folder(tmp_path):
    with pytest.raises(MissingError):
        build_corpus([tmp_path / "nowhere"], tmp_path / "out", ByteVocabulary())
    assert not (tmp_path / "out").exists()


def test_a_field_can_be_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "no", "body": "yes"}\n{"body": null}\n{"body": ""}\n')
    build_corpus([tmp_path / "a.jsonl"], tmp_path / "out", ByteVocabulary(), field="body")
    assert documents_of(tmp_path / "out") == [b"yes", b""]
    assert Store(tmp_path / "out").document(1).record == 2


def test_nothing_to_build_from_is_told_and_leaves_no_corpus(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(MissingError, match="No text"):
        build_corpus([tmp_path / "empty.jsonl"], tmp_path / "out", ByteVocabulary())
    with pytest.raises(MissingError, match="no corpus"):
        Store(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "a.txt").write_text("the")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(UsageError, match=r"diary\.txt"):
        build_corpus([tmp_path / "a.txt"], tmp_path / "mine", ByteVocabulary())
    build_corpus([tmp_path / "a.txt"], tmp_path / "out", ByteVocabulary())
    with pytest.raises(UsageError, match="a corpus already"):
        build_corpus([tmp_path / "a.txt"], tmp_path / "out", ByteVocabulary())


def test_the_second_builder_of_a_folder_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("the")
    with locked(tmp_path / "out"), pytest.raises(LockedError, match=str(os.getpid())):
        build_corpus([tmp_path / "a.txt"], tmp_path / "out", ByteVocabulary())


@pytest.mark.parametrize("workers", [0, 1000])
def test_a_number_of_workers_that_cannot_be_is_refused(tmp_path, workers):
    (tmp_path / "a.txt").write_text("the")
    with pytest.raises(ConfigError, match="workers"):
        build_corpus([tmp_path / "a.txt"], tmp_path / "out", ByteVocabulary(), workers=workers)


def test_workers_give_the_bytes_that_one_process_gives(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.txt").write_bytes((TEXT * (number + 1)).encode() + b"\xff" * (number % 2))
    for workers in (1, 2):
        build_corpus([folder], tmp_path / str(workers), vocabulary("lossy"), workers=workers)
    one, two = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert {**one, ".lock": b""} == {**two, ".lock": b""}


def test_a_worker_that_dies_ends_the_build(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(TEXT)
    # The vocabulary that workers load is not there, so each dies as it starts.
    monkeypatch.setattr(type(vocabulary("lossy")), "save", lambda self, folder: None)
    with pytest.raises(PotstillError, match="worker process"):
        build_corpus([tmp_path / "a.txt"], tmp_path / "out", vocabulary("lossy"), workers=2)
    assert not (tmp_path / "out" / "corpus.json").exists()


def test_a_full_disk_is_told_with_the_bytes_that_are_missing(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(TEXT * 100)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_writer, "symbol_bytes", full)
    with pytest.raises(DiskFull, match="bytes more are needed"):
        build_corpus([tmp_path / "a.txt"], tmp_path / "out", ByteVocabulary())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock"]
    monkeypatch.undo()
    build_corpus([tmp_path / "a.txt"], tmp_path / "out", ByteVocabulary())
    assert documents_of(tmp_path / "out") == [(tmp_path / "a.txt").read_bytes()]


_BUILD = """
import sys
from pathlib import Path
from potstill.corpus.build import build_corpus
from potstill.corpus.vocabulary import load_vocabulary
build_corpus([Path(sys.argv[1])], Path(sys.argv[2]), load_vocabulary(Path(sys.argv[3])), workers=1)
"""


@pytest.mark.slow
def test_a_build_that_is_killed_leaves_a_whole_corpus_or_none(tmp_path):
    sources, saved = tmp_path / "sources", tmp_path / "vocabulary"
    sources.mkdir()
    for number in range(40):
        (sources / f"{number}.txt").write_text(TEXT * 400)
    vocabulary("byte-level").save(saved)
    build_corpus([sources], tmp_path / "whole", vocabulary("byte-level"), workers=1)
    expected = {**contents(tmp_path / "whole"), ".lock": b""}
    for delay_s in (0.05, 0.3, 0.45, 0.55, 0.65, 0.75, 0.9):
        process = subprocess.Popen([sys.executable, "-c", _BUILD, sources, tmp_path / "out", saved])
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "out" / "corpus.json").exists():
            break
        with pytest.raises(MissingError):
            Store(tmp_path / "out")
    else:
        build_corpus([sources], tmp_path / "out", vocabulary("byte-level"), workers=1)
    assert {**contents(tmp_path / "out"), ".lock": b""} == expected


def test_kills_between_the_last_steps_are_mended(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(TEXT)
    build_corpus([tmp_path / "a.txt"], tmp_path / "whole", vocabulary("byte-level"))
    expected = contents(tmp_path / "whole")
    real, calls = os.replace, []

    def stops_at(limit):
        def replace(source, target):
            if str(tmp_path / "out") in str(Path(target).parent) and ".building" not in str(target):
                calls.append(target)
                if len(calls) > limit:
                    raise KeyboardInterrupt
            real(source, target)

        return replace

    for limit in range(8):
        calls.clear()
        monkeypatch.setattr(os, "replace", stops_at(limit))
        try:
            build_corpus([tmp_path / "a.txt"], tmp_path / "out", vocabulary("byte-level"))
            break
        except KeyboardInterrupt:
            with pytest.raises(MissingError):
                Store(tmp_path / "out")
    assert limit == 7
    assert contents(tmp_path / "out") == expected


@pytest.mark.slow
def test_a_million_tiny_documents_take_little_memory_to_read(tmp_path):
    lines = b"".join(b'{"text": "%d"}\n' % number for number in range(10**6))
    (tmp_path / "tiny.jsonl").write_bytes(lines)
    (tmp_path / "out").mkdir()
    build_store([tmp_path / "tiny.jsonl"], tmp_path / "out", ByteVocabulary())
    store = Store(tmp_path / "out", vocabulary=ByteVocabulary())
    assert store.num_documents == 10**6
    for document in (0, 1, 9, 10, 99_999, 123_456, 999_999):
        assert store.vocabulary.bytes_of(store.tokens(document)) == str(document).encode()
        row = store.document(document)
        assert row.record == document
        assert store.document_at(row.first_symbol) == store.document_at(row.stop_symbol) == document


_HANGS = """
import os, sys, time
from pathlib import Path
from potstill.corpus.build import build_corpus
from potstill.corpus.vocabulary import load_vocabulary
from potstill.corpus import store_writer
if __name__ == '__main__':
    def wait(*_):
        print('writing', flush=True)
        time.sleep(60)
    store_writer.symbol_bytes = wait
    build_corpus([Path(sys.argv[1])], Path(sys.argv[2]), load_vocabulary(Path(sys.argv[3])), workers=2)
"""


def _children(number):
    """The worker processes that it started."""
    children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return [int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


def _blocked_signals(number):
    status = Path(f"/proc/{number}/status").read_text()
    return int(status.split("SigBlk:")[1].split()[0], 16)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_workers_end_with_the_build_that_started_them(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "hangs.py").write_text(_HANGS)
    vocabulary("byte-level").save(tmp_path / "vocabulary")
    arguments = [
        sys.executable,
        tmp_path / "hangs.py",
        tmp_path / "a.txt",
        tmp_path / "out",
        tmp_path / "vocabulary",
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        workers = _children(process.pid)
        masks = [_blocked_signals(worker) for worker in workers]
        process.kill()
    assert workers
    assert all(mask >> signal.SIGINT - 1 & 1 for mask in masks), "Ctrl-C ends a worker with a traceback"
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers outlived the build"
        time.sleep(0.05)
    assert [path for path in tmp_path.rglob(".workers-*") if ".building" not in str(path)] == []
