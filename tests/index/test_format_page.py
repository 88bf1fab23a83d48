"""docs/formats/index.md against the files of a real index."""

import json
import math
import random
import re
from pathlib import Path

import pytest

from index.small_texts import VOCABULARIES, small_text, write_texts
from pages import Page
from potstill.index.build import BuildSettings, build_index
from potstill.index.manifest import SCHEMA as INDEX_SCHEMA
from potstill.index.segment_files import SCHEMA as SEGMENT_SCHEMA
from source_tree import ROOT

PAGE = Page(ROOT / "docs" / "formats" / "index.md")
SIZES = {row[0].strip("`"): row[1].strip("`") for row in PAGE.rows(3) if "." in row[0]}
STORE_ONLY = {"offsets.bin"}


@pytest.mark.parametrize("name", ["bytes", "tokenizer"])
@pytest.mark.parametrize("tables", [True, False])
def test_the_page_names_every_file_and_its_size(tmp_path: Path, name: str, tables: bool) -> None:
    chance = random.Random(3)
    texts = write_texts(tmp_path / "texts", [small_text(chance) for _ in range(9)])
    index = tmp_path / "index"
    manifest = build_index(texts, index, VOCABULARIES[name], BuildSettings(64 << 20, with_tables=tables))
    folder = index / "segments" / manifest.segments[0].name
    header = json.loads((folder / "segment.json").read_text())
    assert header["schema"] == SEGMENT_SCHEMA and f"`{SEGMENT_SCHEMA}`" in PAGE.text
    content = header["content"]
    values = {
        "T": content["num_tokens"],
        "S": content["num_symbols"],
        "D": content["num_documents"],
        "V": content["vocabulary"]["vocab_size"],
        "w": content["symbol_bytes"],
        "b": content["position_bits"],
        "G": content["num_bigrams"],
        "r": 4,
        "C": sum(math.ceil(size / 65536) for size in content["files"].values()),
    }
    found = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "segment.json"}
    absent = set(SIZES) - set(found)
    assert not set(found) - set(SIZES), "a file that the page does not tell"
    is_table = re.compile(r"unigrams|bigram_")
    assert absent == {
        file
        for file in SIZES
        if (file in STORE_ONLY and name == "bytes") or (is_table.match(file) and not tables)
    }
    for file, size in found.items():
        if SIZES[file] != "any":
            assert size == computed(SIZES[file], values), file


def computed(formula: str, values: dict[str, int]) -> int:
    """A formula of the page: numbers, the page's letters, +, *, / 8 under ceil, brackets."""
    formula = formula.replace("ceil(T * b / 8)", str(-(-values["T"] * values["b"] // 8)))
    terms = [term.strip() for term in formula.split("+ 8")] if formula.endswith("+ 8") else [formula, None]
    padding = 8 if terms[1] is not None else 0
    product = 1
    for factor in str(terms[0]).split("*"):
        name = factor.strip()
        plus_one = re.fullmatch(r"\((\w) \+ 1\)", name)
        product *= values[plus_one[1]] + 1 if plus_one else values.get(name) or int(name)
    return product + padding


def test_the_page_names_every_key_of_the_sealed_files(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts", [b"a b", b"c"])
    manifest = build_index(texts, tmp_path / "index", VOCABULARIES["bytes"], BuildSettings(64 << 20))
    told = {key for row in PAGE.rows(2) for key in re.findall(r"`(\w+)`", row[0])}
    files = {
        INDEX_SCHEMA: tmp_path / "index" / "manifest.json",
        SEGMENT_SCHEMA: tmp_path / "index" / "segments" / manifest.segments[0].name / "segment.json",
    }
    for schema, path in files.items():
        sealed = json.loads(path.read_text())
        assert set(sealed) == {"schema", "content", "sha256"} and sealed["schema"] == schema
        assert set(sealed["content"]) <= told
        assert f"`{schema}`" in PAGE.text
