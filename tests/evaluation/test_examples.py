"""Evaluation files as users write them, and the sample drawn of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import ConfigError, DamagedError, MissingError
from potstill.evaluation.examples import EvaluationExample, builtin_examples, draw, read_examples


def written(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_summaries_are_a_text_or_a_list_or_not_there(tmp_path: Path) -> None:
    path = written(
        tmp_path / "set.jsonl",
        {"input": " A long sentence. ", "summaries": "Short.", "id": 7},
        {"input": "Another one.", "summaries": ["One.", "Two."], "origin": "ours"},
        {"input": "A third."},
    )
    assert read_examples(path) == [
        EvaluationExample("7", "A long sentence.", ("Short.",)),
        EvaluationExample("1", "Another one.", ("One.", "Two.")),
        EvaluationExample("2", "A third.", ()),
    ]


@pytest.mark.parametrize("record", [{}, {"input": ""}, {"input": "  "}, {"input": 3}, {"input": ["a"]}])
def test_a_record_without_input_is_named_by_its_line(tmp_path: Path, record: dict[str, Any]) -> None:
    path = written(tmp_path / "set.jsonl", {"input": "Good."}, record)
    with pytest.raises(ConfigError) as caught:
        read_examples(path)
    assert str(caught.value) == f"{path}, line 2: `input` must be a text that is not empty."


@pytest.mark.parametrize("summaries", [3, None, {"a": "b"}, ["good", 4]])
def test_summaries_of_another_kind_are_named_by_their_line(tmp_path: Path, summaries: Any) -> None:
    path = written(
        tmp_path / "set.jsonl", {"input": "Good."}, {"input": "Bad."}, {"input": "x", "summaries": summaries}
    )
    with pytest.raises(ConfigError, match=r"set\.jsonl, line 3: `summaries` must be a text or a list"):
        read_examples(path)


def test_a_file_that_is_empty_missing_or_cut_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n\n")
    with pytest.raises(MissingError, match="empty.jsonl holds no records to evaluate on"):
        read_examples(empty)
    with pytest.raises(MissingError, match="nowhere.jsonl"):
        read_examples(tmp_path / "nowhere.jsonl")
    cut = tmp_path / "cut.jsonl"
    cut.write_text('{"input": "whole"}\n{"input": "cu')
    with pytest.raises(DamagedError, match=r"cut\.jsonl, line 2"):
        read_examples(cut)


def test_other_formats_of_records_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text('input,summaries\n"One, two.",One.\n')
    assert read_examples(path) == [EvaluationExample("0", "One, two.", ("One.",))]


def test_a_draw_keeps_the_order_of_the_file_and_depends_on_the_seed_alone() -> None:
    examples = [EvaluationExample(str(index), f"Sentence {index}.") for index in range(50)]
    drawn = draw(examples, 12, seed=5)
    assert len(set(drawn)) == 12 and drawn == sorted(drawn, key=examples.index)
    assert drawn == draw(list(examples), 12, seed=5) != draw(examples, 12, seed=6)
    assert draw(examples, None, 5) == draw(examples, 50, 5) == draw(examples, 99, 5) == examples


def test_a_bigger_draw_holds_the_smaller_one() -> None:
    examples = [EvaluationExample(str(index), f"Sentence {index}.") for index in range(50)]
    assert set(draw(examples, 10, 3)) < set(draw(examples, 20, 3))


def test_the_built_in_sentences_have_no_references() -> None:
    assert not any(example.references for example in builtin_examples())
