"""Reading a store: exact answers, or an error that names file and byte."""

import random
import re
from dataclasses import replace

import pytest

from corpus.vocabularies import TEXT, vocabulary
from potstill.corpus.build import build_corpus
from potstill.corpus.checksums import write_checksums
from potstill.corpus.manifest import read_corpus_facts, write_corpus_facts
from potstill.corpus.sealed import read_sealed, write_sealed
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, MissingError, UsageError

FILES = ("tokens.bin", "documents.bin", "offsets.bin", "sources.jsonl", "checksums.bin", "corpus.json")


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    chance = random.Random(0)
    for number in range(40):
        content = (TEXT * chance.randrange(4)).encode() + b"\xff" * (number % 3)
        (folder / f"{number:02d}.txt").write_bytes(content)
    build_corpus([folder], tmp_path / "out", vocabulary("byte-level"), workers=1)
    return tmp_path / "out"


def answers(corpus):
    """Everything that a reader can ask, as one value."""
    store = Store(corpus)
    tokens = [ids.tolist() for ids in store.each_document()]
    places = [
        store.locate(document, token, 1)
        for document in range(store.num_documents)
        for token in range(0, len(tokens[document]), 17)
    ]
    rows = [store.document(document) for document in range(store.num_documents)]
    return tokens, places, rows, store.num_sources


def test_documents_are_found_by_number_and_by_symbol(corpus):
    store = Store(corpus)
    for document, ids in enumerate(store.each_document()):
        row = store.document(document)
        assert row.num_tokens == len(ids)
        assert store.tokens(document).tolist() == ids.tolist()
        assert store.tokens(document, 2, 5).tolist() == ids[2:5].tolist()
        assert store.tokens(document, 3, 10**9).tolist() == ids[3:].tolist()
        for symbol in (row.first_symbol, row.stop_symbol):
            assert store.document_at(symbol) == document
        assert store.symbols(row.stop_symbol, row.stop_symbol + 1).tolist() == [0]
        assert store.source(row.source).path.name == f"{document:02d}.txt"


def test_what_is_not_there_cannot_be_asked_for(corpus):
    store = Store(corpus)
    for ask in (
        lambda: store.document(-1),
        lambda: store.document(store.num_documents),
        lambda: store.tokens(store.num_documents),
        lambda: store.document_at(store.num_symbols),
        lambda: store.document_at(-1),
        lambda: store.locate(0, 0, 10**9),
        lambda: store.locate(0, -1, 1),
    ):
        with pytest.raises(UsageError):
            ask()


@pytest.mark.parametrize("name", FILES)
def test_every_cut_is_found_before_the_first_answer(corpus, name):
    path = corpus / name
    whole = path.read_bytes()
    # The last byte of JSON is a line break, without which it says the same.
    longest = len(whole) - (2 if name == "corpus.json" else 1)
    for size in {0, 1, len(whole) // 2, longest, *range(0, longest, 4096)}:
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedError, match=re.escape(name)):
            Store(corpus)
    path.unlink()
    with pytest.raises(MissingError, match=re.escape(name)):
        Store(corpus)


def test_a_flipped_bit_gives_an_error_that_names_its_file_or_the_exact_answer(corpus):
    expected, chance = answers(corpus), random.Random(1)
    for name in FILES:
        path = corpus / name
        whole = path.read_bytes()
        for _ in range(60):
            bit = chance.randrange(8 * len(whole))
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            try:
                assert answers(corpus) == expected
            except DamagedError as error:
                assert name in str(error)
            if name != "corpus.json":
                with pytest.raises(DamagedError, match=re.escape(name)):
                    Store(corpus).verify()
        path.write_bytes(whole)


def test_a_store_made_with_another_vocabulary_is_told(corpus):
    with pytest.raises(DamagedError, match="another vocabulary"):
        _ = Store(corpus, vocabulary=ByteVocabulary()).vocabulary


@pytest.mark.parametrize(
    "change",
    [
        {"num_documents": -1},
        {"num_tokens": 5},
        {"num_symbols": 2**60},
        {"symbol_bytes": 5},
        {"symbol_bytes": 1},
        {"files": {}},
        {"files": {"../tokens.bin": 1}},
        {"checksums_crc32c": []},
        {"vocabulary": {"kind": "words"}},
        {"more": 1},
    ],
)
def test_a_header_that_contradicts_itself_is_refused(corpus, change):
    content = read_sealed(corpus / "corpus.json", "potstill.corpus/1")
    write_sealed(corpus / "corpus.json", "potstill.corpus/1", {**content, **change})
    with pytest.raises(DamagedError, match=r"corpus\.json|checksums\.bin"):
        Store(corpus)


def test_a_newer_corpus_is_refused(corpus):
    write_sealed(corpus / "corpus.json", "potstill.corpus/2", {})
    with pytest.raises(DamagedError, match="newer potstill"):
        Store(corpus)


def test_hostile_offsets_with_right_checksums_do_no_harm(corpus):
    """Whatever stands in the files, a reader answers or says which file is wrong."""
    facts, chance = read_corpus_facts(corpus), random.Random(2)
    for name in ("documents.bin", "offsets.bin", "sources.jsonl", "tokens.bin"):
        whole = (corpus / name).read_bytes()
        for _ in range(20):
            altered = bytearray(whole)
            for _ in range(8):
                altered[chance.randrange(len(altered))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
            (corpus / name).write_bytes(altered)
            checked = write_checksums(corpus, facts.files)
            write_corpus_facts(corpus, replace(facts, checksums_crc32c=checked.crc32c))
            try:
                answers(corpus)
            except (DamagedError, UsageError) as error:
                assert str(corpus) in str(error) or isinstance(error, UsageError)
        (corpus / name).write_bytes(whole)
