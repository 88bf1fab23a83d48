"""Documents and passages of an index that was built from files, with the bytes they came from."""

import json
import os
from pathlib import Path

import pytest

from corpus.vocabularies import NAMES, vocabulary
from potstill.files import write_text
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add, delete
from potstill.index.reader import Index

SETTINGS = BuildSettings(1 << 26)
FOX = "The quick brown fox jumps over the lazy dog; été, naïve, Straße. The quick brown fox again."
RECORDS = ["the dog's tail", "", "日本語 the quick brown 𝄞"]


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An index of one file and three records, to which another file was added."""
    texts = tmp_path / "texts"
    write_text(texts / "a fox.txt", FOX)
    write_text(texts / "records.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in RECORDS))
    write_text(tmp_path / "more.txt", "over the lazy dog")
    index = tmp_path / "index"
    build_index([texts], index, vocabulary(request.param), SETTINGS)
    add(index, [tmp_path / "more.txt"], SETTINGS)
    return index


def test_documents_have_their_numbers_texts_and_sources(folder):
    is_lossy = Index.open(folder).vocabulary.fingerprint == vocabulary("lossy").fingerprint
    with Index.open(folder) as index:
        documents = [index.document(number) for number in index.document_numbers]
        wanted = [FOX, *RECORDS, "over the lazy dog"]
        assert len(documents) == index.num_documents == len(wanted)
        for number, (document, text) in enumerate(zip(documents, wanted, strict=True)):
            assert document.number == number and not document.is_deleted
            held = document.text.removeprefix(" ")
            assert held == (text.lower() if is_lossy else text)
        names = [document.source.path.name for document in documents]
        assert names == ["a fox.txt", *["records.jsonl"] * 3, "more.txt"]
        assert [document.source.record for document in documents] == [0, 0, 1, 2, 0]
        assert documents[0].source.byte_stop == len(FOX.encode())


def test_a_passage_is_what_the_document_says_there(folder):
    with Index.open(folder) as index:
        places = index.find(" quick brown fox")
        assert places.count == 2
        for place in places:
            passage = index.occurrence(*place, len(places.query), context_tokens=4)
            assert passage.match == " quick brown fox"
            source = passage.source
            content = source.path.read_bytes()[source.byte_start : source.byte_stop]
            assert content.decode() == passage.match
            stop = passage.match_at + passage.num_tokens
            assert passage.tokens[passage.match_at : stop] == places.query
            assert passage.match_at <= 4 and len(passage.tokens) - stop <= 4
            assert passage.before + passage.match + passage.after in index.document(place.document).text


def test_a_whole_document_is_a_passage_without_context(folder):
    with Index.open(folder) as index:
        for number in index.document_numbers:
            document = index.document(number)
            passage = index.occurrence(number, 0, len(document.tokens))
            assert (passage.before, passage.match, passage.after) == ("", document.text, "")
            assert passage.source == document.source


def test_a_passage_begins_and_ends_with_whole_characters(folder):
    with Index.open(folder) as index:
        document = index.document(3)
        for start in range(len(document.tokens)):
            for context in range(4):
                passage = index.occurrence(3, start, 1, context_tokens=context)
                text = passage.before + passage.match + passage.after
                assert text in document.text and passage.match


def test_deleted_documents_answer_as_deleted_and_are_found_no_more(folder):
    delete(folder, documents=[0], memory_bytes=1 << 26)
    with Index.open(folder) as index:
        assert index.document(0).is_deleted and not index.document(4).is_deleted
        assert index.num_documents == len(index.document_numbers) - 1
        found = index.find(" the lazy dog")
        assert [place.document for place in found] == [4]
        assert found.count == len(found) == index.count(" the lazy dog") == 1
        assert index.search([[" dog"], [" lazy"]]).num_documents == 1
        assert list(index.find(" fox")) == []
        assert index.occurrence(0, 0, 1).is_deleted


def test_an_open_index_keeps_its_generation(folder):
    with Index.open(folder) as before:
        delete(folder, documents=[0], memory_bytes=1 << 26)
        with Index.open(folder) as after:
            assert after.generation == before.generation + 1
            assert after.count(" fox") == 0
        assert before.count(" fox") == 2
        assert not before.document(0).is_deleted


def test_a_path_that_is_no_utf8_is_told_as_it_is(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_bytes(b"not \xff text")
    build_index([path], tmp_path / "index", vocabulary("bytes"), SETTINGS)
    with Index.open(tmp_path / "index") as index:
        assert index.count(b"\xff") == 1
        document = index.document(0)
        assert document.text == "not \ufffd text"
        assert os.fsencode(document.source.path) == os.fsencode(path)
