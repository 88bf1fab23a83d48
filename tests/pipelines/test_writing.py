"""What tasks that write give, on a T5 and on a decoder."""

from pathlib import Path

import pytest

import potstill
from potstill.errors import UsageError
from potstill.files import read_json, write_json
from potstill.pipelines.input_limit import InputsCut
from potstill.pipelines.pipeline import Pipeline
from potstill.tasks.student import StudentCard, write_card
from potstill.types import SamplingParams
from tokenization.small_tokenizers import LINES

TASKS = {
    "text2text-generation": "generated_text",
    "summarization": "summary_text",
    "translation_en_to_de": "translation_text",
}


def opened(task: str, model: Path, **arguments: object) -> Pipeline:
    return potstill.pipeline(
        task, model=model, device="cpu", dtype="fp32", **{"max_new_tokens": 5, **arguments}
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["t5", "decoder"])
def test_answers_are_named_as_the_task_names_them(task: str, kind: str, request) -> None:
    with opened(task, request.getfixturevalue(kind)) as made:
        (alone,) = made(LINES[0])
        assert list(alone) == [TASKS[task]] and not alone[TASKS[task]].startswith(LINES[0])
        together = made(LINES)
        assert together[0] == alone and len(together) == len(LINES)
        several = made(LINES[:2], do_sample=True, num_return_sequences=3, seed=1)
        assert [len(answers) for answers in several] == [3, 3]
        assert list(made(line for line in LINES)) == [[answer] for answer in together]


def test_a_t5_answers_as_transformers_generates(t5: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    model = transformers.T5ForConditionalGeneration.from_pretrained(t5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(t5)
    with opened("text2text-generation", t5, max_new_tokens=8) as made:
        for line in LINES:
            ids = tokenizer(line, return_tensors="pt").input_ids
            (output,) = model.generate(ids, max_new_tokens=8, do_sample=False, use_cache=False).tolist()
            expected = made._held.model.tokenizer.decode([token for token in output[1:] if token > 1])
            assert made(line) == [{"generated_text": expected.strip()}]


def test_a_student_is_asked_as_it_was_trained_and_answers_as_long_as_its_card_says(
    decoder: Path, tmp_path: Path
) -> None:
    for file in decoder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    sampling = SamplingParams(temperature=0, max_tokens=3)
    write_card(tmp_path, StudentCard(task="shorten", prompt_template="A {source} b", sampling=sampling))
    with potstill.pipeline("summarization", model=tmp_path, device="cpu", dtype="fp32") as made:
        by_card = made("cat")
    with opened("text-generation", tmp_path, max_new_tokens=3, return_full_text=False) as made:
        (by_hand,) = made("A cat b")
    assert by_card == [{"summary_text": by_hand["generated_text"].strip()}]


def test_max_length_counts_the_prompt_of_a_decoder_and_the_start_of_a_t5(decoder: Path, t5: Path) -> None:
    with opened("text-generation", decoder, max_new_tokens=None) as made:
        # A BOS and three tokens.
        num_prompt = 1 + len(made._held.model.tokenizer.encode("The cat"))
        longer = made("The cat", max_length=num_prompt + 4)
        assert longer == made("The cat", max_new_tokens=4)
        with pytest.raises(UsageError, match=f"counts the prompt, which has {num_prompt} tokens"):
            made("The cat", max_length=num_prompt)
        with pytest.raises(UsageError, match="Drop max_length"):
            made("The cat", max_length=9, max_new_tokens=3)
    with opened("text2text-generation", t5, max_new_tokens=None) as made:
        assert made("The cat", max_length=5) == made("The cat", max_new_tokens=4)


def test_a_text_ends_where_the_model_does_unless_a_length_is_asked_for(decoder: Path) -> None:
    with opened("text-generation", decoder, max_new_tokens=None) as made:
        assert made("The cat")
        with pytest.raises(UsageError, match="the model's context has 512"):
            made("The cat", max_new_tokens=600)


def test_long_inputs_are_refused_or_cut_and_told(t5: Path, decoder: Path) -> None:
    with opened("text2text-generation", t5) as made:
        long = "The cat sat. " * 200
        with pytest.warns(InputsCut, match="1 of 2 inputs"):
            cut = made([long, "A"], max_input_tokens=20)
        assert len(cut) == 2
    with (
        opened("text-generation", decoder, max_input_tokens=3) as made,
        pytest.warns(InputsCut, match="only the last"),
    ):
        (answer,) = made("The cat sat on the mat")
    with opened("text-generation", decoder) as made, pytest.raises(UsageError, match="context has 512"):
        made(long)
    assert answer["generated_text"].startswith("The cat sat on the mat")


def test_more_beams_than_rows_are_refused_by_the_names_that_a_caller_knows(decoder: Path) -> None:
    with opened("text-generation", decoder, batch_size=2) as made:
        with pytest.raises(UsageError, match="num_beams is 3; 2 texts .* raise batch_size"):
            made("A cat", num_beams=3)
        assert made("A cat", num_beams=2)


def test_a_draft_changes_no_text(decoder: Path) -> None:
    text = "words, words, words, words"
    with opened("text-generation", decoder, max_new_tokens=30) as made:
        plain = made([text, "A cat"])
    with opened("text-generation", decoder, max_new_tokens=30, draft="prompt-lookup") as made:
        assert made([text, "A cat"]) == plain


def test_packed_weights_are_kept_in_the_folder_that_is_named(
    decoder: Path, tmp_path: Path, monkeypatch
) -> None:
    texts = []
    for _ in range(2):
        with opened("text-generation", decoder, compile_cache=tmp_path / "a") as made:
            texts.append(made("A cat"))
    monkeypatch.setenv("POTSTILL_COMPILE_CACHE", str(tmp_path / "b"))
    with opened("text-generation", decoder) as made:
        texts.append(made("A cat"))
    assert texts[0] == texts[1] == texts[2]
    assert [len(list((tmp_path / name).glob("*.packed"))) for name in ("a", "b")] == [1, 1]


@pytest.mark.parametrize(
    ("task", "kind", "arguments", "said"),
    [
        ("text-generation", "t5", {}, "encoder-decoder, which does text2text-generation"),
        ("summarization", "classifier", {}, "is an encoder, which does text-classification.*name a decoder"),
        ("feature-extraction", "t5", {}, "name an encoder"),
        ("zero-shot-classification", "decoder", {"draft": "lookahead"}, "draft speeds up texts"),
        ("text-classification", "encoder", {}, "no head that sorts texts"),
        ("text-generation", "decoder", {"index": "x"}, "add draft='infinigram'"),
        ("text-generation", "decoder", {"draft": "oracle"}, "There is no draft 'oracle'"),
    ],
)
def test_what_a_model_cannot_do_is_told_with_what_can(task, kind, arguments, said, request) -> None:
    with pytest.raises(UsageError, match=said):
        potstill.pipeline(task, model=request.getfixturevalue(kind), device="cpu", **arguments)


def test_what_a_config_puts_before_a_text_is_put_there(t5: Path, tmp_path: Path) -> None:
    for file in t5.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    prefix = {"summarization": {"prefix": "words: "}, "other": 3}
    write_json(tmp_path / "config.json", read_json(t5 / "config.json") | {"task_specific_params": prefix})
    with opened("summarization", tmp_path) as made, opened("text2text-generation", t5) as plain:
        (summary,), (answer,) = made("A cat"), plain("words: A cat")
    assert summary["summary_text"] == answer["generated_text"]
