"""`generate --grammar FILE`: what a file holds by its name, and what is told of texts that do not meet it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Command
from potstill.cli.grammar_file import read_grammar
from potstill.engine.generator import Piece
from potstill.errors import UsageError
from potstill.files import write_json
from potstill.types import Completion, Grammar, TextRequest

NOT_WHOLE = "The text ends before the JSON schema allows it to; allow more tokens."


@pytest.mark.parametrize(
    ("name", "content", "kind", "source"),
    [
        ("a.json", '{"type": "null"}\n', "json_schema", '{"type": "null"}\n'),
        ("a.json", ' ["yes", "no"]', "choices", ' ["yes", "no"]'),
        ("a.lark", 'start: "a"\n', "lark", 'start: "a"\n'),
        ("a.regex", "a+\n", "regex", "a+"),
        ("a.TXT", "a+\r\n", "regex", "a+"),
        ("a.txt", "a\n\n", "regex", "a\n"),
        ("a.txt", "\ufeffa+", "regex", "a+"),
        ("a.json", '\ufeff["yes"]', "choices", '["yes"]'),
    ],
)
def test_a_suffix_says_what_a_file_holds(
    name: str, content: str, kind: str, source: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_grammar(tmp_path / name) == Grammar(kind, source)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.gbnf", b"root ::= x", "no grammar by its name"),
        ("a.json", b'{"type": ', "a.json: The JSON schema is no JSON"),
        ("a.lark", b'start: "x', "a.lark: The grammar cannot be used"),
        ("a.regex", b"\xff", "no UTF-8 text"),
        ("a.json", b" " * (1 << 21), "more than 1,048,576 bytes"),
        ("missing.json", None, "missing.json cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(
    name: str, content: bytes | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        read_grammar(tmp_path / name)


class Asked:
    """A generator that tells the grammar it was asked for; the second prompt's text is not whole."""

    def complete(self, requests: list[TextRequest]) -> list[tuple[int, Completion]]:
        return [(index, self._answer(request)) for index, request in enumerate(requests)]

    def stream(self, request: TextRequest) -> Iterator[Piece]:
        done = self._answer(request)
        yield Piece(0, 0, done.text, done)

    def _answer(self, request: TextRequest) -> Completion:
        assert request.grammar is not None
        unmet = (NOT_WHOLE,) if request.prompt == "short" else ()
        return Completion(f" {request.grammar.kind} ", (1,), "length" if unmet else "stop", -1.0, unmet=unmet)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("potstill.engine.load.load_generator", lambda path, **how: Asked())
    write_json(Path("m/config.json"), {})
    Path("m/model.safetensors").touch()
    Path("s.json").write_text('{"type": "null"}')


def test_a_grammar_goes_along_with_every_prompt(potstill: Command, asked: None) -> None:
    done = potstill("generate", "m", "one", "two", "--grammar", "s.json", "--quiet")
    assert (done.code, done.out) == (0, " json_schema \n json_schema \n"), done.err


def test_texts_that_are_not_whole_are_printed_and_told_and_the_command_fails(
    potstill: Command, asked: None
) -> None:
    done = potstill("generate", "m", "one", "short", "--grammar", "s.json", "--quiet")
    assert done.code == 1
    assert done.out == " json_schema \n json_schema \n"
    assert done.err == f"potstill: Text 1 of prompt 2 does not meet what was asked. {NOT_WHOLE}\n"


def test_json_says_what_is_not_met(potstill: Command, asked: None) -> None:
    done = potstill("generate", "m", "one", "short", "--grammar", "s.json", "--json", "--quiet")
    told = json.loads(done.out)["completions"]
    assert done.code == 1
    assert [one["unmet"] for one in told] == [[], [NOT_WHOLE]]


def test_a_streamed_text_that_is_not_whole_is_told_too(
    potstill: Command, asked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = potstill("generate", "m", "short", "--grammar", "s.json", "--quiet")
    assert done.code == 1 and NOT_WHOLE in done.err and "json_schema" in done.out


def test_a_wrong_grammar_is_told_before_a_model_is_looked_for(potstill: Command) -> None:
    Path("s.json").write_text('{"type": "array", "uniqueItems": true}')
    done = potstill("generate", "no-such-model", "one", "--grammar", "s.json", "--quiet")
    assert done.code == 2
    assert "s.json: The JSON schema cannot be used: 'uniqueItems' (at #/uniqueItems)" in done.err
