"""Documents copied from stores: the same bytes as a store that is built from them."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.small_texts import VOCABULARIES, contents, small_text, write_texts
from potstill.corpus.build import build_store
from potstill.corpus.copied_documents import Chosen, copy_documents, runs_of
from potstill.corpus.store import Store
from potstill.index.stream_checks import check_documents
from potstill.progress import Silent


@given(st.lists(st.booleans()))
def test_runs_hold_what_was_chosen(chosen: list[bool]) -> None:
    runs = runs_of(np.array(chosen, bool))
    assert [number for run in runs for number in range(*run)] == [
        n for n, is_in in enumerate(chosen) if is_in
    ]
    assert all(one[1] < other[0] for one, other in zip(runs, runs[1:], strict=False))


@pytest.mark.parametrize("name", VOCABULARIES)
def test_copied_documents_are_the_bytes_of_a_build_from_them(tmp_path: Path, name: str) -> None:
    vocabulary = VOCABULARIES[name]
    for seed in range(12):
        chance, home = random.Random(seed), tmp_path / str(seed)
        groups = [
            write_texts(
                home / "texts", [small_text(chance) for _ in range(chance.randrange(1, 9))], f"{part}"
            )
            for part in "ab"
        ]
        chosen, kept = [], []
        for part, paths in enumerate(groups):
            (home / f"store-{part}").mkdir()
            build_store(paths, home / f"store-{part}", vocabulary)
            mask = np.array([chance.random() < 0.7 for _ in paths])
            store = Store(home / f"store-{part}", vocabulary=vocabulary)
            chosen.append(Chosen(store, runs_of(mask)))
            kept += [path for path, is_in in zip(paths, mask, strict=True) if is_in]
        for folder in ("copied", "built"):
            (home / folder).mkdir()
        copy_documents(chosen, home / "copied", Silent())
        check_documents(Store(home / "copied", vocabulary=vocabulary))
        if kept:
            build_store(kept, home / "built", vocabulary)
            assert contents(home / "copied") == contents(home / "built"), (name, seed)


def test_long_documents_and_many_are_copied_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potstill.corpus.copied_documents._CHUNK_SYMBOLS", 7)
    monkeypatch.setattr("potstill.corpus.copied_documents._CHUNK_DOCUMENTS", 3)
    monkeypatch.setattr("potstill.index.stream_checks._CHUNK_SYMBOLS", 5)
    monkeypatch.setattr("potstill.index.stream_checks._CHUNK_DOCUMENTS", 2)
    for name in VOCABULARIES:
        test_copied_documents_are_the_bytes_of_a_build_from_them(tmp_path / name, name)
