"""The data set's files are what docs/formats/pairs.md says they are."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from pages import Page
from potstill.runs.stages.verdicts import all_filters
from potstill.runs.stages.workshop import Workshop
from potstill.synthesis import dataset
from potstill.synthesis.dataset import COLUMNS, KEPT, REPEATS, SCORES, UNFINISHED
from potstill.synthesis.filters import plain_filters
from potstill.synthesis.pair import Candidate, CorpusSpan
from potstill.tasks.task import load_task
from potstill.types import TextPair
from source_tree import ROOT

PAGE = Page(ROOT / "docs" / "formats" / "pairs.md")
ARROW_TYPES = {"string": "string", "int64": "int64", "double": "double"}


def told(heading: str) -> list[list[str]]:
    """The rows of the table under a heading of the page, first cells without their backticks."""
    section = PAGE.text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in (cells[0].strip().strip("`"), *cells[1:])] for cells in rows[1:]]


def candidate(**changes: Any) -> Candidate:
    values: dict[str, Any] = {
        "id": "00000000000000ff",
        "source": "Über 3 Brücken\u2028mußt du gehn.",
        "target_text": 'Er sagt "ja".',
        "context": "",
        "generator": "few_shot",
        "seed": 2**63 - 1,
        "is_finished": True,
    }
    return Candidate(**values | changes)


def test_the_page_names_every_column_in_order_with_its_type() -> None:
    rows = told("Columns")
    assert [row[0] for row in rows] == list(COLUMNS)
    assert [ARROW_TYPES[row[1]] for row in rows] == [str(field.type) for field in dataset.schema()]


def test_the_page_says_which_columns_may_be_null() -> None:
    nullable = {row[0] for row in told("Columns") if row[2] == "null"}
    bare = dataset.row(candidate(), {}, UNFINISHED)
    assert {name for name, value in bare.items() if value is None} == nullable


def test_the_page_names_every_verdict() -> None:
    task = load_task("paraphrase")
    assert task.entails == "two_way"
    minimums = {"faithfulness": 0.0, "saliency": 0.0, "equivalence": 0.0}
    reasons = [filter_.reason for filter_ in all_filters(Unloaded(Path("nowhere")), task, minimums)]
    assert [row[0] for row in told("Verdicts")] == [KEPT, UNFINISHED, *reasons, REPEATS]


class Unloaded(Workshop):
    """A workshop that is only looked at: its filters are listed, not asked."""

    def new_information(self) -> Any:
        return None


def test_critics_have_columns_of_their_names() -> None:
    task = load_task("shorten")
    assert {filter_.critic.name for filter_ in plain_filters(task.limits, lambda word: False)} <= set(SCORES)


def test_the_line_on_the_page_is_one_that_the_code_would_write(tmp_path: Path) -> None:
    (block,) = [block for block in PAGE.blocks if block.language == "json"]
    shown = json.loads(block.text)
    pair = TextPair(shown["source"], shown["target_text"])
    filters = plain_filters(load_task("paraphrase").limits, lambda word: False)
    scores = {filter_.critic.name: float(filter_.critic.scores([pair])[0]) for filter_ in filters}
    by_model = {name: shown[name] for name in ("brevity", "faithfulness", "saliency")}
    span = CorpusSpan(*(shown[f"span_{name}"] for name in ("path", "record", "start", "end")))
    assert span.end - span.start == len(pair.source)
    made = candidate(
        id=shown["id"], source=pair.source, target_text=pair.target_text, seed=shown["seed"], span=span
    )
    dataset.write_pairs(tmp_path, [dataset.row(made, scores | by_model, KEPT)])
    assert (tmp_path / "pairs.jsonl").read_text() == block.text.replace("\n ", " ")


def test_both_files_hold_the_same_rows_bit_for_bit(tmp_path: Path) -> None:
    scores = {name: value for name, value in zip(SCORES, (1.0, 0.1, 1 / 3, 5e-324, 1e300), strict=False)}
    rows = [
        dataset.row(candidate(), scores, KEPT),
        dataset.row(candidate(span=CorpusSpan("a b.txt", 2**40, 0, 7)), {}, UNFINISHED),
    ]
    dataset.write_pairs(tmp_path, rows)
    assert dataset.read_pairs(tmp_path) == rows
    raw = (tmp_path / "pairs.jsonl").read_bytes()
    assert raw.endswith(b"\n") and raw.count(b"\n") == 2 and not raw.startswith(b"\xef\xbb\xbf")
    assert [json.loads(line) for line in raw.decode().split("\n")[:-1]] == rows
    assert "Über".encode() in raw and b"null" in raw and b"5e-324" in raw


def test_the_parquet_file_is_packed_as_the_page_says(tmp_path: Path) -> None:
    dataset.write_pairs(tmp_path, [dataset.row(candidate(), {}, KEPT)] * 4097)
    packed = parquet.ParquetFile(tmp_path / "pairs.parquet")
    assert packed.schema_arrow.equals(dataset.schema())
    sizes = [packed.metadata.row_group(index).num_rows for index in range(packed.num_row_groups)]
    assert sizes == [4096, 1]
    assert packed.metadata.row_group(0).column(0).compression == "ZSTD"


def test_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        dataset.write_pairs(tmp_path / name, [dataset.row(candidate(), {"num_words": 3}, KEPT)])
    for name in ("pairs.jsonl", "pairs.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_score_that_was_not_asked_is_null(value: float | None) -> None:
    scores = {} if value is None else {"saliency": value}
    assert dataset.row(candidate(), scores, "a copy")["saliency"] is None
