from types import SimpleNamespace
from typing import Any

import pytest

from potstill.errors import UsageError
from potstill.pipelines.prompts import prompt_form
from potstill.pipelines.task_name import task_name
from potstill.tasks.student import StudentCard
from potstill.types import SamplingParams

CARD = StudentCard(
    task="shorten",
    prompt_template="Long: {source}\nShort:",
    sampling=SamplingParams(temperature=0, max_tokens=9),
)


def writer(kind: str = "decoder", card: StudentCard | None = None, **prefixes: str) -> Any:
    return SimpleNamespace(encodes_prompt=kind == "t5", card=card, prefixes=prefixes)


@pytest.mark.parametrize(
    ("task", "model", "arguments", "prompt"),
    [
        ("text-generation", writer(), {}, "A {source}."),
        ("text-generation", writer(card=CARD), {}, "A {source}."),
        ("text2text-generation", writer("t5"), {}, "A {source}."),
        ("text2text-generation", writer(card=CARD), {}, "Long: A {source}.\nShort:"),
        ("summarization", writer("t5"), {}, "summarize: A {source}."),
        ("summarization", writer("t5", summarization="sum up: "), {}, "sum up: A {source}."),
        ("summarization", writer(card=CARD), {}, "Long: A {source}.\nShort:"),
        ("summarization", writer(), {}, "Text: A {source}.\nSummary in one sentence:"),
        ("translation_en_to_de", writer("t5"), {}, "translate English to German: A {source}."),
        ("translation_en_to_de", writer("t5", translation_en_to_de="en de: "), {}, "en de: A {source}."),
        ("translation_en_to_fr", writer(), {}, "English: A {source}.\nFrench:"),
        (
            "translation",
            writer(),
            {"src_lang": "en", "tgt_lang": "Icelandic"},
            "English: A {source}.\nIcelandic:",
        ),
        ("translation", writer("t5"), {"prefix": "in {source}: "}, "in {source}: A {source}."),
        ("summarization", writer(), {"prompt_template": "<{source}>"}, "<A {source}.>"),
    ],
)
def test_each_kind_of_model_is_asked_in_its_way(task, model, arguments, prompt) -> None:
    assert prompt_form(task_name(task), model, arguments).prompt("A {source}.") == prompt


def test_a_students_own_settings_hold_and_a_base_models_answer_is_a_line() -> None:
    assert prompt_form(task_name("summarization"), writer(card=CARD), {}).sampling == CARD.sampling
    assert prompt_form(task_name("summarization"), writer(), {}).sampling.stop == ("\n",)


@pytest.mark.parametrize(
    ("task", "arguments", "said"),
    [
        ("translation", {}, "translation_en_to_de"),
        ("translation", {"src_lang": "en"}, "tgt_lang"),
        ("translation_xx_to_de", {}, "no language 'xx'"),
        ("summarization", {"prompt_template": "no place"}, "holds {source} once"),
        ("summarization", {"prefix": 3}, "prefix is 3"),
        ("summarization", {"prefix": "a", "prompt_template": "{source}"}, "Drop one of them"),
    ],
)
def test_prompts_without_a_place_or_a_language_are_refused(task, arguments, said) -> None:
    with pytest.raises(UsageError, match=said):
        prompt_form(task_name(task), writer(), arguments)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("summarisation", "Did you mean 'summarization'"),
        ("translation_english_to_de", "translation_XX_to_YY"),
        ("fill-mask", "There is no task 'fill-mask'"),
        ("sentiment", "sentiment-analysis"),
    ],
)
def test_a_task_that_does_not_exist_is_told_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        task_name(name)
