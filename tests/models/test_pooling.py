from pathlib import Path
from typing import Any

import pytest

from potstill.errors import DamagedError
from potstill.files import write_json
from potstill.models.pooling import Pooling, read_pooling


def write(folder: Path, *, steps: Any = ("Transformer", "Pooling"), most: Any = None, **modes: bool) -> None:
    if isinstance(steps, tuple):
        steps = [
            {"type": f"sentence_transformers.models.{name}", "path": f"{place}_{name}" if place else ""}
            for place, name in enumerate(steps)
        ]
    write_json(folder / "modules.json", steps)
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(
        folder / "1_Pooling" / "config.json", {f"pooling_mode_{mode}": on for mode, on in modes.items()}
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": most})


def test_the_mean_is_taken_where_nothing_is_said(tmp_path: Path) -> None:
    assert read_pooling(tmp_path) == Pooling(mode="mean", is_normalised=False, max_tokens=None)


def test_what_sentence_transformers_writes_is_followed(tmp_path: Path) -> None:
    write(
        tmp_path, steps=("Transformer", "Pooling", "Normalize"), mean_tokens=True, cls_token=False, most=256
    )
    assert read_pooling(tmp_path) == Pooling(mode="mean", is_normalised=True, max_tokens=256)
    write(tmp_path, cls_token=True)
    assert read_pooling(tmp_path) == Pooling(mode="cls")


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_a_mode_may_be_named_instead_of_switched_on(mode: str, tmp_path: Path) -> None:
    write(tmp_path)
    write_json(tmp_path / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": mode})
    assert read_pooling(tmp_path).mode == mode


@pytest.mark.parametrize("mode", ["max", ["cls", "mean"]])
def test_a_named_mode_that_is_not_done_here_is_refused(mode: Any, tmp_path: Path) -> None:
    write(tmp_path)
    write_json(tmp_path / "1_Pooling" / "config.json", {"pooling_mode": mode})
    with pytest.raises(DamagedError, match="max|pooling_mode"):
        read_pooling(tmp_path)


def test_texts_that_were_to_be_lowered_first_are_not_taken_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, mean_tokens=True)
    write_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": 9, "do_lower_case": True})
    with pytest.raises(DamagedError, match="do_lower_case is True"):
        read_pooling(tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"max_tokens": True}, "max_tokens"),
        ({"mean_tokens": True, "cls_token": True}, "cls_token, mean_tokens"),
        ({}, "nothing"),
        ({"mean_tokens": True, "most": 0}, "max_seq_length is 0"),
        ({"mean_tokens": True, "steps": ("Transformer", "Pooling", "Dense")}, "Dense"),
        ({"mean_tokens": True, "steps": [{"type": "a.Pooling", "path": "../1_Pooling"}]}, "no folder beside"),
        ({"mean_tokens": True, "steps": [{"type": "a.Pooling", "path": "2_Pooling"}]}, "missing"),
        ({"mean_tokens": True, "steps": {}}, "no list of steps"),
        ({"mean_tokens": True, "steps": [{"type": 3}]}, "type is 3"),
    ],
)
def test_what_is_not_done_here_is_refused_by_name(
    changes: dict[str, Any], named: str, tmp_path: Path
) -> None:
    write(tmp_path, **changes)
    with pytest.raises(DamagedError, match=named):
        read_pooling(tmp_path)
