"""Documents added, deleted and merged: what an index of just the live ones answers, and at last its bytes."""

import random
from pathlib import Path

import pytest

from index.naive import Naive
from index.small_texts import VOCABULARIES, contents, small_text, write_texts
from potstill.corpus.build import build_corpus
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import DamagedError, MissingError, UsageError
from potstill.index import segment_build
from potstill.index.build import BuildSettings, build_index
from potstill.index.changes import add, delete
from potstill.index.manifest import read_manifest, set_interpolation
from potstill.index.merge import merge_index
from potstill.index.parts import plan_parts
from potstill.index.reader import Index

BYTES = ByteVocabulary()
SETTINGS = BuildSettings(64 << 20)
MEMORY = SETTINGS.memory_bytes


def segment_files(index: Path) -> dict[str, bytes]:
    (entry,) = read_manifest(index).segments
    return contents(index / "segments" / entry.name)


def check_answers(index: Path, naive: Naive, chance: random.Random) -> None:
    """Counts, continuations and the ∞-gram against looking at every token."""
    with Index.open(index) as opened:
        assert opened.num_documents == len(naive.live) and opened.num_tokens == naive.num_tokens
        pool = [ids for ids in naive.documents if ids]
        for _ in range(60):
            ids = list(chance.choice(pool))
            start = chance.randrange(len(ids))
            query = ids[start : start + chance.randrange(1, 6)]
            assert opened.count(query) == naive.count(query)
            found = opened.next(query)
            wanted = naive.next(query)
            assert dict(zip(found.ids.tolist(), found.counts.tolist(), strict=True)) == {
                token: count for token, count in wanted.items() if token >= 0
            }
            assert found.num_end == wanted[-1]
            assert opened.infgram_next(query).suffix_len == naive.infgram_next(query).suffix_len


@pytest.mark.parametrize("name", VOCABULARIES)
def test_any_changes_answer_as_one_build_and_merge_to_its_bytes(tmp_path: Path, name: str) -> None:
    vocabulary = VOCABULARIES[name]
    for seed in range(3):
        home, chance = tmp_path / str(seed), random.Random(seed)
        groups = [
            write_texts(home / "texts", [small_text(chance) for _ in range(chance.randrange(2, 6))], part)
            for part in "abc"
        ]
        index, paths = home / "index", [path for group in groups for path in group]
        documents = [ids.tolist() for ids in vocabulary.encode_documents([p.read_bytes() for p in paths])]
        build_index(groups[0], index, vocabulary, SETTINGS)
        deleted = set[int]()
        num_documents = len(groups[0])
        for group in groups[1:]:
            gone = chance.sample(range(num_documents), chance.randrange(1, 3))
            gone = [number for number in gone if number not in deleted]
            if gone and len(deleted) + len(gone) < num_documents:
                delete(index, documents=gone, memory_bytes=MEMORY)
                deleted.update(gone)
            add(index, group, SETTINGS)
            num_documents += len(group)
            check_answers(index, Naive(documents[:num_documents], frozenset(deleted)), chance)
        merge_index(index, SETTINGS.sort)
        check_answers(index, Naive([d for n, d in enumerate(documents) if n not in deleted]), chance)
        build_index(
            [p for n, p in enumerate(paths) if n not in deleted], home / "fresh", vocabulary, SETTINGS
        )
        assert segment_files(index) == segment_files(home / "fresh")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    write_texts(tmp_path / "texts", [b"the cat", b"the dog", b"", b"a cat and a dog", b"the end"])
    build_index([tmp_path / "texts"], tmp_path / "index", BYTES, SETTINGS)
    return tmp_path / "index"


def count(index: Path, query: bytes) -> int:
    with Index.open(index) as opened:
        return opened.count(query)


def test_documents_go_by_number_and_by_source(index: Path, tmp_path: Path) -> None:
    delete(index, documents=[1], memory_bytes=MEMORY)
    assert (count(index, b"dog"), count(index, b"the")) == (1, 2)
    delete(index, sources=[tmp_path / "texts" / "text-003.txt"], memory_bytes=MEMORY)
    assert (count(index, b"dog"), count(index, b"cat")) == (0, 1)
    with Index.open(index) as opened:
        assert opened.document(1).is_deleted and not opened.document(4).is_deleted
        assert opened.document(4).text == "the end"
    assert read_manifest(index).generation == 3


@pytest.mark.parametrize(
    ("documents", "sources", "message"),
    [
        ([5], [], "no document 5: the index has 5"),
        ([-1], [], "no document -1"),
        ([0], [], "deleted already"),
        ([1, 0], [], "deleted already"),
        ([], [Path("elsewhere.txt")], "No live document .* elsewhere.txt"),
        ([], [Path("texts/text-000.txt")], "No live document"),
        ([], [], "Nothing to delete"),
    ],
)
def test_what_cannot_be_deleted_changes_nothing(
    index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    documents: list[int],
    sources: list[Path],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    delete(index, documents=[0], memory_bytes=MEMORY)
    before = contents(index)
    with pytest.raises(UsageError, match=message):
        delete(index, documents=documents, sources=sources, memory_bytes=MEMORY)
    assert contents(index) == before


def test_everything_can_be_deleted_and_documents_added_again(index: Path, tmp_path: Path) -> None:
    delete(index, documents=range(5), memory_bytes=MEMORY)
    assert count(index, b"the") == 0 and read_manifest(index).num_tokens == 0
    merge_index(index, SETTINGS.sort)
    assert count(index, b"") == 0
    add(index, [tmp_path / "texts" / "text-000.txt"], SETTINGS)
    assert count(index, b"the") == 1


def test_a_later_change_of_the_same_kind_is_a_change(index: Path, tmp_path: Path) -> None:
    for times in (2, 3):
        add(index, [tmp_path / "texts" / "text-000.txt"], SETTINGS)
        assert count(index, b"the cat") == times


def test_a_corpus_is_added_if_it_has_the_vocabulary(index: Path, tmp_path: Path) -> None:
    for name in ("bytes", "tokenizer"):
        build_corpus([tmp_path / "texts"], tmp_path / name, VOCABULARIES[name])
    with pytest.raises(UsageError, match="another vocabulary"):
        add(index, [tmp_path / "tokenizer"], SETTINGS)
    add(index, [tmp_path / "bytes"], SETTINGS)
    assert count(index, b"the cat") == 2


def test_an_index_without_tables_stays_without(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts", [b"one two", b"two three"])
    build_index(texts, tmp_path / "index", BYTES, BuildSettings(MEMORY, with_tables=False))
    add(tmp_path / "index", texts[:1], SETTINGS)
    delete(tmp_path / "index", documents=[0], memory_bytes=MEMORY)
    merge_index(tmp_path / "index", SETTINGS.sort)
    assert not list((tmp_path / "index").rglob("unigrams.bin"))
    assert count(tmp_path / "index", b"two") == 2


def test_a_wide_byte_that_is_deleted_makes_symbols_narrow_again(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts", [b"one", b"\xff two"])
    index = tmp_path / "index"
    build_index(texts, index, BYTES, SETTINGS)
    delete(index, documents=[1], memory_bytes=MEMORY)
    merge_index(index, SETTINGS.sort)
    build_index(texts[:1], tmp_path / "fresh", BYTES, SETTINGS)
    assert segment_files(index) == segment_files(tmp_path / "fresh")


def test_merging_one_segment_does_nothing_and_interpolation_stays(index: Path, tmp_path: Path) -> None:
    before = read_manifest(index)
    assert merge_index(index, SETTINGS.sort) == before
    set_interpolation(index, {"sparse": 0.25})
    delete(index, documents=[0], memory_bytes=MEMORY)
    add(index, [tmp_path / "texts"], SETTINGS)
    assert merge_index(index, SETTINGS.sort).interpolation == {"sparse": 0.25}
    assert build_index([tmp_path / "texts"], index, BYTES, SETTINGS).interpolation is None


def test_damage_is_not_merged(index: Path, tmp_path: Path) -> None:
    add(index, [tmp_path / "texts"], SETTINGS)
    first = index / "segments" / read_manifest(index).segments[0].name
    # The suffixes last: by then the store is copied, which is not done twice.
    for name in ("tokens.bin", "documents.bin", "suffixes.bin"):
        whole = (first / name).read_bytes()
        (first / name).write_bytes(whole[:3] + bytes([whole[3] ^ 4]) + whole[4:])
        with pytest.raises(DamagedError, match=name):
            merge_index(index, SETTINGS.sort)
        (first / name).write_bytes(whole)
    merge_index(index, SETTINGS.sort)
    assert count(index, b"the cat") == 2


def test_changes_of_no_index_make_no_folder(tmp_path: Path) -> None:
    for change in (
        lambda index: add(index, [tmp_path], SETTINGS),
        lambda index: delete(index, documents=[0], memory_bytes=MEMORY),
        lambda index: merge_index(index, SETTINGS.sort),
    ):
        with pytest.raises(MissingError, match="is no index"):
            change(tmp_path / "mistyped")
    assert not (tmp_path / "mistyped").exists()


def test_deletions_are_sorted_in_parts_too(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_build, "plan", lambda borders, *_: plan_parts(borders, 9))
    delete(index, documents=[0, 3], memory_bytes=MEMORY)
    assert (count(index, b"cat"), count(index, b"the")) == (0, 2)
