import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Command
from potstill.cli import writing
from potstill.cli.output import printable
from potstill.engine.generator import Piece
from potstill.files import write_json
from potstill.progress import Silent
from potstill.tasks.student import StudentCard, write_card
from potstill.types import Completion, Phrase, SamplingParams, TextRequest


class Echo:
    """A generator that writes back what it was asked, and how."""

    def __init__(self, draft: str | None = None) -> None:
        self.draft = draft

    def complete(self, requests: list[TextRequest]) -> list[tuple[int, Completion]]:
        answers = [
            (index, self._answer(request)._replace(sample=sample))
            for index, request in enumerate(requests)
            for sample in range(request.sampling.n)
        ]
        return answers[::-1]

    def stream(self, request: TextRequest) -> Iterator[Piece]:
        done = self._answer(request)
        yield from (Piece(0, 0, character) for character in done.text)
        yield Piece(0, 0, "", done)

    def _answer(self, request: TextRequest) -> Completion:
        prompt = f"{self.draft}: {request.prompt}" if self.draft else request.prompt
        return Completion(f" <{prompt}|{request.sampling.max_tokens}> ", (1, 2), "stop", -1.5)


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("potstill.engine.load.load_generator", lambda path, **how: Echo(how.get("draft")))


def make_model(folder: str, card: StudentCard | None = None) -> None:
    path = Path(folder)
    write_json(path / "config.json", {})
    (path / "model.safetensors").touch()
    if card:
        write_card(path, card)


def test_a_plain_model_gets_the_prompts_as_they_are(potstill: Command, echo: None) -> None:
    make_model("m")
    done = potstill("generate", "m", "one", "two", "--max-tokens", "5", "--quiet")
    assert done.code == 0, done.err
    assert done.out == " <one|5> \n <two|5> \n"


def test_a_student_gets_its_tasks_instruction_and_its_own_defaults(potstill: Command, echo: None) -> None:
    sampling = SamplingParams(temperature=0, max_tokens=9, stop=("\n",))
    make_model("m", StudentCard(task="shorten", prompt_template="Long: {source}\nShort:", sampling=sampling))
    assert potstill("generate", "m", "one", "--quiet").out == "<Long: one\nShort:|9>\n"
    told = json.loads(potstill("generate", "m", "one {source}", "--max-tokens", "3", "--json").out)
    (completion,) = told["completions"]
    assert completion["text"] == "<Long: one {source}\nShort:|3>"
    assert completion["finish_reason"] == "stop" and completion["num_tokens"] == 2


@pytest.mark.parametrize(
    "option", [("--temperature", "-1"), ("--top-p", "0"), ("--max-tokens", "0"), ("--stop", "")]
)
def test_a_wrong_sampling_option_is_refused_before_the_model_is_loaded(
    potstill: Command, option: tuple[str, str]
) -> None:
    make_model("m")
    done = potstill("generate", "m", "one", *option)
    assert done.code == 2 and option[0].strip("-").replace("-", "_") in done.err


def test_a_model_that_is_not_there_is_told(potstill: Command) -> None:
    done = potstill("generate", "./none", "one", "--json")
    assert done.code == 4 and json.loads(done.out)["error"]["type"] == "ModelMissing"


def test_several_texts_a_prompt_come_in_order(potstill: Command, echo: None) -> None:
    make_model("m")
    told = json.loads(potstill("generate", "m", "one", "two", "--num-samples", "2", "--json").out)
    found = [(one["prompt"], one["sample"]) for one in told["completions"]]
    assert found == [("one", 0), ("one", 1), ("two", 0), ("two", 1)]


def test_a_kind_of_weights_that_is_none_is_refused_before_anything_is_loaded(potstill: Command) -> None:
    done = potstill("generate", "m", "one", "--dtype", "fp7")
    assert done.code == 2 and "--dtype is 'fp7'; it must be one of auto, bf16, fp32" in done.err


@pytest.mark.parametrize("task", ["shorten", None])
def test_a_streamed_text_is_the_text_that_is_printed_otherwise(
    potstill: Command, echo: None, monkeypatch: pytest.MonkeyPatch, task: str | None
) -> None:
    card = StudentCard(task=task, prompt_template="a  {source} b") if task else None
    make_model("m", card)
    whole = potstill("generate", "m", "one  two", "--quiet").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert potstill("generate", "m", "one  two", "--quiet").out == whole


@pytest.mark.weights
@pytest.mark.parametrize("stop", [(), (" it",)])
def test_what_is_streamed_is_what_is_completed(
    monkeypatch: pytest.MonkeyPatch, stop: tuple[str, ...]
) -> None:
    changes = {"temperature": 0, "max_tokens": 12, "stop": stop or None}
    writer = writing.open_writer("gemma-3-270m", device="cpu", changes=changes, progress=Silent())
    ((_, whole),) = writer.generator.complete([writer.request("Once upon a time,")])
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    writing.show_stream(writer, "Once upon a time,")
    assert out.getvalue() == printable(whole.text) + "\n"


def test_what_stands_after_two_dashes_is_a_prompt(echo: None, potstill: Command) -> None:
    make_model("model")
    done = potstill("generate", "model", "--", "--json")
    assert done.code == 0 and not done.out.startswith("{")


def test_phrases_are_asked_for_and_what_is_unmet_is_told(
    potstill: Command, echo: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TextRequest] = []

    def answer(self: Echo, request: TextRequest) -> Completion:
        asked.append(request)
        return Completion(" A cat.", (1,), "length", -1.0, unmet=('The text holds no "dog".',))

    monkeypatch.setattr(Echo, "_answer", answer)
    make_model("m")
    options = ("--contains", "dog | dogs", "--contains", "cat", "--avoids", "bird")
    done = potstill("generate", "m", "one", *options, "--quiet")
    assert done.out == " A cat.\n" and 'The text holds no "dog".' in done.err and done.code == 1
    assert asked[0].clauses == (
        (Phrase("dog"), Phrase("dogs")),
        (Phrase("cat"),),
        (Phrase("bird", is_wanted=False),),
    )
    (told,) = json.loads(potstill("generate", "m", "one", *options, "--json").out)["completions"]
    assert told["unmet"] == ['The text holds no "dog".']


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--contains", "a|"), "no words on one side"),
        (("--contains", "a b", "--avoids", "a"), "no text holds to both"),
        (("--contains", "a", "--temperature", "1"), "--contains and --avoids search"),
    ],
)
def test_phrases_that_make_no_sense_are_refused_before_the_model_is_loaded(
    potstill: Command, options: tuple[str, ...], message: str
) -> None:
    make_model("m")
    done = potstill("generate", "m", "one", *options)
    assert done.code == 2 and message in done.err


def test_a_draft_is_loaded_with_the_model(potstill: Command, echo: None) -> None:
    make_model("m")
    done = potstill("generate", "m", "one", "--draft", "prompt-lookup", "--max-tokens", "5", "--quiet")
    assert (done.code, done.out) == (0, " <prompt-lookup: one|5> \n"), done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--draft", "magic"), "no draft 'magic'. Drafts are prompt-lookup, infinigram"),
        (("--draft", "lookahead", "--index", "i"), "lookahead reads no index"),
        (("--index", "i"), "Add --draft infinigram"),
    ],
)
def test_a_draft_that_makes_no_sense_is_refused_before_the_model_is_loaded(
    potstill: Command, options: tuple[str, ...], told: str
) -> None:
    done = potstill("generate", "nobody/has-this", "one", *options)
    assert done.code == 2 and told in " ".join(done.err.split())
