import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.corpus.build import build_store, build_store_of
from potstill.corpus.split import split_sizes, split_sources
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import MissingError

SIZES = st.lists(st.integers(0, 1000), min_size=1, max_size=60)


@given(SIZES, st.integers(1, 70))
def test_runs_are_all_documents_in_order_and_none_is_empty(sizes, num_runs):
    borders = split_sizes(np.array(sizes), num_runs)
    assert borders[0] == 0 and borders[-1] == len(sizes)
    assert all(first < stop for first, stop in zip(borders, borders[1:], strict=False))
    assert len(borders) == min(num_runs, len(sizes)) + 1


@given(st.integers(1, 9))
def test_equal_documents_are_shared_out_equally(num_runs):
    lengths = np.diff(split_sizes(np.full(num_runs * 7, 50), num_runs))
    assert set(lengths.tolist()) == {7}


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "a.txt").write_text("first")
    (folder / "b.jsonl").write_text("".join(f'{{"text": "record {n}"}}\n' for n in range(20)))
    (folder / "c.txt").write_text("")
    (folder / "d.bin").write_bytes(b"\0\1\2")
    (folder / "e.md").write_text("last " * 30)
    return folder


@pytest.mark.parametrize("num_slices", [1, 2, 3, 5, 23, 40])
def test_slices_one_after_another_are_the_whole(sources, tmp_path, num_slices):
    vocabulary = ByteVocabulary()
    slices = split_sources([sources], num_slices, vocabulary)
    assert len(slices) == min(num_slices, 23)
    whole = documents_of(lambda folder: build_store([sources], folder, vocabulary), tmp_path / "whole")
    parts = []
    for number, each in enumerate(slices):

        def build(folder, each=each):
            build_store_of(each.files, folder, vocabulary, documents=each.documents)

        parts += documents_of(build, tmp_path / f"part{number}")
    assert parts == whole


def test_a_slice_names_only_the_files_that_it_needs(sources):
    first, *_, last = split_sources([sources], 23, ByteVocabulary())
    assert [file.path.name for file in first.files] == ["a.txt"]
    assert [file.path.name for file in last.files] == ["e.md"]
    assert (last.first, last.stop) == (0, 1)


def test_sources_without_a_document_are_told(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(MissingError, match="No text in"):
        split_sources([tmp_path / "empty.jsonl"], 2, ByteVocabulary())


def documents_of(build, folder):
    folder.mkdir()
    build(folder)
    store = Store(folder, vocabulary=ByteVocabulary())
    rows = store.documents(0, store.num_documents + 1)
    starts = rows["first_symbol"].astype(int)
    return [
        (store.symbols(start, stop).tolist(), store.source(int(row["source"])).path.name, int(row["record"]))
        for row, start, stop in zip(rows, starts, starts[1:], strict=False)
    ]
