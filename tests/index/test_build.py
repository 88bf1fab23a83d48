"""An index from texts: the bytes that the obvious sort gives, however it came about."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from index.naive_build import naive_files
from index.small_texts import VOCABULARIES, contents, small_text, write_texts
from potstill.corpus.build import build_corpus
from potstill.corpus.source_files import FoundFiles, PassedOver, find_source_files
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, MissingError, UsageError
from potstill.index import segment_build
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add
from potstill.index.manifest import Manifest, read_manifest
from potstill.index.open import open_generation
from potstill.index.parts import plan_parts
from potstill.index.reader import Index

BYTES = ByteVocabulary()
SETTINGS = BuildSettings(64 << 20)


def segment_of(index: Path, manifest: Manifest) -> Path:
    (entry,) = manifest.segments
    return index / "segments" / entry.name


def sorted_files(index: Path) -> dict[str, bytes]:
    folder = segment_of(index, read_manifest(index))
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "segment.json"}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    chance = random.Random(2)
    write_texts(tmp_path / "texts", [small_text(chance) for _ in range(10)])
    return tmp_path / "texts"


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_files_are_those_of_the_obvious_sort(tmp_path: Path, name: str, tables: bool) -> None:
    for seed in range(4):
        home, chance = tmp_path / str(seed), random.Random(seed)
        texts = write_texts(home / "texts", [small_text(chance) for _ in range(chance.randrange(1, 5))])
        vocabulary, index = VOCABULARIES[name], home / "index"
        build_index(texts, index, vocabulary, BuildSettings(64 << 20, with_tables=tables))
        (segment,) = open_generation(index).segments
        store = segment.store
        symbols = store.symbols(0, store.num_symbols).tolist()
        wanted = naive_files(symbols, vocabulary.vocab_size, store.facts.symbol_bytes, tables=tables)
        files = sorted_files(index)
        assert {file: files[file] for file in wanted} == wanted
        assert ("unigrams.bin" in files) == tables


@pytest.mark.parametrize("most", [5, 40, 200])
def test_parts_never_show(texts: Path, tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    build_index([texts], tmp_path / "whole", BYTES, SETTINGS)
    # A part that ends inside a document asks for a little room beyond its end.
    monkeypatch.setattr(segment_build, "plan", lambda borders, *_: plan_parts(borders, most))
    build_index([texts], tmp_path / "parts", BYTES, SETTINGS)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_threads_and_memory_never_show(texts: Path, tmp_path: Path) -> None:
    folders = []
    for threads, memory in ((1, 64 << 20), (2, 64 << 20), (3, 1 << 30)):
        folders.append(tmp_path / f"{threads}-{memory}")
        build_index([texts], folders[-1], BYTES, BuildSettings(memory, num_workers=threads))
    assert contents(folders[0]) == contents(folders[1]) == contents(folders[2])


def test_a_corpus_gives_the_index_that_its_sources_give(texts: Path, tmp_path: Path) -> None:
    for name in ("bytes", "tokenizer"):
        vocabulary = VOCABULARIES[name]
        build_corpus([texts], tmp_path / f"{name}-corpus", vocabulary)
        build_index([tmp_path / f"{name}-corpus"], tmp_path / f"{name}-a", vocabulary, SETTINGS)
        build_index([texts], tmp_path / f"{name}-b", vocabulary, SETTINGS)
        assert sorted_files(tmp_path / f"{name}-a") == sorted_files(tmp_path / f"{name}-b")


def test_a_corpus_is_indexed_by_itself_whole_and_with_its_own_vocabulary(texts: Path, tmp_path: Path) -> None:
    corpus, index = tmp_path / "corpus", tmp_path / "index"
    build_corpus([texts], corpus, BYTES)
    with pytest.raises(UsageError, match="by itself"):
        build_index([corpus, texts], index, BYTES, SETTINGS)
    with pytest.raises(UsageError, match="another vocabulary"):
        build_index([corpus], index, VOCABULARIES["tokenizer"], SETTINGS)
    tokens = corpus / "tokens.bin"
    tokens.write_bytes(b"x" + tokens.read_bytes()[1:])
    with pytest.raises(DamagedError, match="tokens.bin"):
        build_index([corpus], index, BYTES, SETTINGS)
    with pytest.raises(MissingError):
        read_manifest(index)


def test_the_same_sources_again_change_nothing_and_other_ones_replace(texts: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    first = build_index([texts], index, BYTES, SETTINGS)
    assert build_index([texts], index, BYTES, SETTINGS) == first
    (texts / "more.txt").write_text("more")
    second = build_index([texts], index, BYTES, SETTINGS)
    assert second.generation == 2 and len(list((index / "segments").iterdir())) == 1
    with Index.open(index) as opened:
        assert opened.count(b"more") == 1


def test_a_file_with_other_content_of_the_same_size_and_date_is_read_again(
    texts: Path, tmp_path: Path
) -> None:
    index, text = tmp_path / "index", texts / "text-000.txt"
    text.write_text("before")
    build_index([texts], index, BYTES, SETTINGS)
    status = text.stat()
    text.write_text("behind")
    os.utime(text, ns=(status.st_atime_ns, status.st_mtime_ns))
    build_index([texts], index, BYTES, SETTINGS)
    with Index.open(index) as opened:
        assert (opened.count(b"before"), opened.count(b"behind")) == (0, 1)


def test_what_was_passed_over_is_told_once_and_files_that_go_meanwhile_are_among_it(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (texts / "picture.png").write_bytes(b"\0")
    (texts / "gone.txt").write_text("gone")

    def find(sources: Sequence[Path]) -> FoundFiles:
        found = find_source_files(sources)
        (texts / "gone.txt").unlink(missing_ok=True)
        return found

    for module in ("corpus.build", "index.build", "index.room"):
        monkeypatch.setattr(f"potstill.{module}.find_source_files", find)
    index, told = tmp_path / "index", list[Sequence[PassedOver]]()
    for _ in range(2):
        build_index([texts], index, BYTES, SETTINGS, tell=told.append)
    assert [[each.path.name for each in files] for files in told] == [["picture.png"]] * 2
    (texts / "gone.txt").write_text("gone")
    add(index, [texts], SETTINGS, tell=told.append)
    assert len(told) == 3


def test_a_damaged_index_is_built_again(texts: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    whole = sorted_files_after(texts, index)
    path = segment_of(index, read_manifest(index)) / "suffixes.bin"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    assert sorted_files_after(texts, index) == whole
    assert read_manifest(index).generation == 2


def sorted_files_after(texts: Path, index: Path) -> dict[str, bytes]:
    build_index([texts], index, BYTES, SETTINGS)
    return sorted_files(index)


def test_another_vocabulary_replaces_the_one_before(texts: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    for name in ("bytes", "tokenizer", "bytes"):
        build_index([texts], index, VOCABULARIES[name], SETTINGS)
        with Index.open(index) as opened:
            assert opened.vocabulary.facts == VOCABULARIES[name].facts
            assert opened.count(b"the") >= 1
        assert len(list((index / "vocabulary").iterdir())) == 1


def test_a_folder_with_other_things_is_left_alone(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not empty and no index"):
        build_index([texts], texts, BYTES, SETTINGS)
    assert len(list(texts.iterdir())) == 10


ODD = [
    [b""],
    [b"", b"", b""],
    [b"a"],
    [b"\xff"],
    [b"\0\0\0"],
    [b"\r\n", b"\xef\xbb\xbfab"],
    [b"ab" * 3000, b"ab" * 3000],
    [b"ab"] * 300,
]


@pytest.mark.parametrize("documents", ODD, ids=range(len(ODD)))
def test_odd_documents_are_counted_right(tmp_path: Path, documents: list[bytes]) -> None:
    files = write_texts(tmp_path / "texts", documents)
    build_index(files, tmp_path / "index", BYTES, SETTINGS)
    with Index.open(tmp_path / "index") as opened:
        assert (opened.num_documents, opened.num_tokens) == (len(documents), sum(map(len, documents)))
        for query in (b"a", b"ab", b"aba", b"\xff", b"\0\0", b"\r\n", b"abab" * 700):
            assert opened.count(query) == sum(
                document.startswith(query, at) for document in documents for at in range(len(document))
            )
