"""Prompts and answers that were published for Flan-T5-Large, of seven kinds of task and two of question."""

import json
import os
from pathlib import Path

import pytest

import potstill

PROMPTS = Path(__file__).parents[3] / "shared" / "data" / "articles" / "flan_t5_tasks.jsonl"


def published() -> list[dict[str, str]]:
    if not PROMPTS.is_file():
        pytest.skip(f"{PROMPTS} is not there")
    return [json.loads(line) for line in PROMPTS.read_text("utf-8").splitlines()]


def test_every_published_prompt_goes_in_and_a_text_comes_out(t5: Path) -> None:
    prompts = [row["prompt"] for row in published()]
    assert len(prompts) == 12
    with (
        potstill.pipeline("text2text-generation", model=t5, device="cpu", max_new_tokens=4) as made,
        pytest.warns(UserWarning, match="max_input_tokens"),
    ):
        answers = made(prompts, max_input_tokens=60)
    assert all(list(answer) == ["generated_text"] for answer in answers) and len(answers) == 12
    assert all(isinstance(answer["generated_text"], str) for answer in answers)


@pytest.mark.weights
@pytest.mark.slow
def test_flan_t5_large_gives_the_published_answers() -> None:
    folder = os.environ.get("POTSTILL_FLAN_T5_LARGE")
    if not folder:
        pytest.skip("POTSTILL_FLAN_T5_LARGE names no folder with the weights of google/flan-t5-large")
    rows = published()
    with potstill.pipeline("text2text-generation", model=folder, dtype="fp32", max_new_tokens=64) as made:
        answers = made([row["prompt"] for row in rows])
    assert [answer["generated_text"] for answer in answers] == [row["answer"] for row in rows]
