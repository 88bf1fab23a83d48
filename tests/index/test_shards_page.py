"""docs/formats/shards.md against the files of a real index in shards."""

import json
from pathlib import Path

from index.small_texts import write_texts
from pages import Page
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.executors.local import InProcess
from potstill.index.build import BuildSettings
from potstill.index.shard_build import build_shards
from potstill.index.shards import SCHEMA
from source_tree import ROOT

PAGE = Page(ROOT / "docs" / "formats" / "shards.md")


def test_the_page_tells_the_files_and_the_keys(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts", [b"one", b"two", b"three"])
    index = tmp_path / "index"
    built = build_shards(texts, index, ByteVocabulary(), BuildSettings(64 << 20), InProcess(), num_shards=2)
    sealed = json.loads((index / "shards.json").read_text())
    assert sealed["schema"] == SCHEMA and f"`{SCHEMA}`" in PAGE.text
    assert {row[0].strip("`") for row in PAGE.rows(2)} == set(sealed["content"])
    for key in sealed["content"]["shards"][0]:
        assert f"`{key}`" in PAGE.text
    assert {path.name for path in index.iterdir()} == {"shards.json", "shards", "vocabulary", ".lock"}
    assert [entry.name for entry in built.shards] == [
        f"{built.made_by[:8]}-{number:03d}" for number in (0, 1)
    ]


def test_a_shard_begins_where_the_page_says(tmp_path: Path) -> None:
    # Sizes 4, 4, 6: half of 14 is passed before the third.
    texts = write_texts(tmp_path / "texts", [b"one", b"two", b"three"])
    index = tmp_path / "index"
    built = build_shards(texts, index, ByteVocabulary(), BuildSettings(64 << 20), InProcess(), num_shards=2)
    assert [entry.num_documents for entry in built.shards] == [2, 1]
