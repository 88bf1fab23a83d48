"""`potstill corpus decontaminate` on a small corpus of bytes, and on an index of it."""

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from potstill.corpus.build import build_corpus
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.files import write_text
from potstill.index.build import BuildSettings, build_index

PLANTED = "Whoever reads these thirteen words in a row has seen them here before."
TEXTS = [
    "A page about rivers, that nobody asks about.",
    f"Some forum post. {PLANTED} And then it goes on.",
    "Another page, this one about stills and copper.",
    f"({PLANTED})",
]
EVAL = [
    {"question": PLANTED, "answer": "yes"},
    {"question": "Where does the river rise that the page tells of?"},
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_text(tmp_path / "texts.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    write_text(tmp_path / "eval.jsonl", "".join(json.dumps(row) + "\n" for row in EVAL))
    build_corpus([tmp_path / "texts.jsonl"], tmp_path / "corpus", ByteVocabulary())
    return tmp_path / "corpus"


def run(potstill: Command, corpus: Path, *options: str):
    return potstill("corpus", "decontaminate", str(corpus), "--eval", "eval.jsonl", "--quiet", *options)


def test_the_gate_refuses_and_names_the_record(potstill: Command, corpus: Path) -> None:
    done = run(potstill, corpus)
    assert done.code == 3
    assert "1 of 2 evaluation records stand in the corpus: eval.jsonl, line 1" in done.err
    assert "contaminated" in done.out and "texts.jsonl record 1, byte 17" in done.out
    assert sorted(path.name for path in corpus.parent.iterdir() if path.name.startswith(".tmp")) == []


def test_json_is_one_object_and_refuses_too(potstill: Command, corpus: Path) -> None:
    done = run(potstill, corpus, "--json")
    told = json.loads(done.out)
    assert done.code == 3 and told["schema"] == "potstill.corpus-decontaminate/1"
    assert (told["num_records"], told["num_sharing"], told["num_contaminated"]) == (2, 1, 1)
    (record,) = told["records"]
    assert record["longest"]["text"] == PLANTED and record["longest"]["num_words"] == 13
    assert record["longest"]["place"]["source"]["record"] in (1, 3)
    assert record["num_matching_ngrams"] == record["num_ngrams"] == 1


def test_a_corpus_without_the_documents_that_hold_it_is_written(potstill: Command, corpus: Path) -> None:
    done = run(potstill, corpus, "--out", "clean")
    assert done.code == 0, done.err
    assert "clean is the corpus without 2 of its documents." in done.out
    clean = Store(Path("clean"))
    kept = [bytes(clean.tokens(number).astype("u1")).decode() for number in range(clean.num_documents)]
    assert kept == [TEXTS[0], TEXTS[2]]
    assert clean.locate(1, 0, 7).record == 2
    again = run(potstill, Path("clean"))
    assert again.code == 0 and "0 share some" in again.out
    assert run(potstill, corpus, "--out", "clean").code == 2


def test_an_index_is_asked_as_it_is(potstill: Command, corpus: Path) -> None:
    build_index([corpus], Path("index"), ByteVocabulary(), BuildSettings(1 << 26))
    done = run(potstill, Path("index"), "--json", "--out", "clean")
    assert done.code == 0 and json.loads(done.out)["removed_documents"] == [1, 3]
    assert Store(Path("clean")).num_documents == 2


def test_the_threshold_and_the_fields_decide(potstill: Command, corpus: Path) -> None:
    assert run(potstill, corpus, "--field", "question", "--threshold", "1").code == 3
    assert run(potstill, corpus, "--threshold", "1").code == 0
    lenient = run(potstill, corpus, "--ngram", "14", "--threshold", "0.99")
    assert lenient.code == 0 and "1 share some" in lenient.out
    wrong = run(potstill, corpus, "--field", "sauce")
    assert wrong.code == 2 and "has no field sauce" in wrong.err


def test_what_is_neither_corpus_nor_index_is_told(potstill: Command, corpus: Path) -> None:
    done = run(potstill, Path("texts.jsonl"))
    assert done.code == 4 and "neither a corpus nor an index" in done.err


def test_an_index_in_shards_is_asked_as_it_is(potstill: Command, corpus: Path) -> None:
    made = potstill("index", "build", str(corpus), "--out", "sharded", "--shards", "2", "--quiet")
    assert made.code == 0, made.err
    wanted = json.loads(run(potstill, corpus, "--json").out)["records"]
    assert json.loads(run(potstill, Path("sharded"), "--json").out)["records"] == wanted
    assert run(potstill, Path("sharded"), "--out", "clean").code == 0
    assert run(potstill, corpus, "--out", "other").code == 0
    assert Path("clean/tokens.bin").read_bytes() == Path("other/tokens.bin").read_bytes()


def test_what_could_only_fail_after_the_work_is_refused_before(potstill: Command, corpus: Path) -> None:
    done = run(potstill, corpus, "--out", str(corpus))
    assert done.code == 2 and "holds a corpus already" in done.err and not done.out
    assert potstill("index", "build", str(corpus), "--out", "index", "--quiet").code == 0
    done = run(potstill, Path("index"), "--memory", "1GB")
    assert done.code == 2 and "--memory" in done.err
