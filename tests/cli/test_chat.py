"""A chat through pipes and in a terminal, with a model of random weights on the disk."""

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from cli.conftest import Command
from engine.tiny_decoder import tiny_decoder
from potstill.cli.chat_session import ChatSession
from potstill.engine.generator import Piece
from potstill.models.export import save_decoder
from potstill.pipelines.chat_bot import ChatBot
from potstill.pipelines.chat_style import PersonaStyle
from potstill.pipelines.persona import DEFAULT_PERSONA
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Completion

PERSONA = "Ann and Bo talk.\nAnn: Hi.\nBo: Hello."
FEW = ("--max-tokens", "6", "--quiet", "--device", "cpu", "--dtype", "fp32")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes letters at random, and no line's end."""
    folder = tmp_path_factory.mktemp("model")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE({one: place for place, one in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(one, normalized=False) for one in ("<bos>", "<eos>", "<turn>")])
    tokenizer = Tokenizer(backend, bos_id=256, eos_ids=[257])
    save_decoder(tiny_decoder(vocab_size=259, max_positions=256), tokenizer, folder, dtype=torch.float32)
    return folder


@pytest.fixture
def talk(potstill: Command, model: Path, monkeypatch: pytest.MonkeyPatch):
    def run(lines: str, *options: str):
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        return potstill("chat", str(model), *FEW, *options)

    return run


@pytest.fixture
def persona(tmp_path: Path) -> str:
    (tmp_path / "persona.txt").write_text(PERSONA)
    return str(tmp_path / "persona.txt")


def test_a_pipe_gets_an_answer_a_line_and_nothing_else(talk, persona) -> None:
    done = talk("One?\nTwo?\n", "--persona", persona)
    assert done.code == 0 and done.err == ""
    assert done.out.count("\n") == 2 and "Bo:" not in done.out


def test_the_same_chat_has_the_same_answers_also_after_a_reset(talk, persona) -> None:
    drawn = ("--persona", persona, "--temperature", "9", "--top-p", "1", "--seed")
    first = talk("One?\nTwo?\nreset\nOne?\nTwo?\n", *drawn, "3").out.split("\n")
    assert first[:2] == first[2:4]
    assert talk("One?\nTwo?\n", *drawn, "4").out.split("\n")[:2] != first[:2]


def test_an_empty_line_ends(talk, persona) -> None:
    assert talk("One?\n\nTwo?\n", "--persona", persona).out.count("\n") == 1
    assert talk("").out == ""


def test_without_a_persona_there_is_a_plain_one(talk) -> None:
    # Too long for this model, of a token a letter.
    assert "The question is too long: with what stands before the chat" in talk("One?\n").err


def test_a_long_chat_leaves_its_oldest_turns_out(talk, persona) -> None:
    done = talk("How is it going today?\n" * 12, "--persona", persona)
    assert done.code == 0 and done.out.count("\n") == 12


def test_a_question_without_room_ends_a_piped_chat_in_one_line(talk, persona) -> None:
    done = talk(f"Hi?\n{'long ' * 80}\nHi?\n", "--persona", persona)
    assert done.code == 2 and done.err.startswith("potstill: The question is too long")
    assert done.err.count("\n") == 1 and done.out.count("\n") == 1


def test_a_chat_is_kept_and_gone_on_with(talk, persona, tmp_path) -> None:
    path = tmp_path / "chat.jsonl"
    talk("One?\nTwo?\n", "--persona", persona, "--transcript", str(path))
    talk("Three?\n", "--persona", persona, "--transcript", str(path))
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert told[0]["opening"] == PERSONA
    assert [record["question"] for record in told[1:]] == ["One?", "Two?", "Three?"]
    together = talk("One?\nTwo?\nThree?\n", "--persona", persona).out.splitlines()
    assert [record["answer"] for record in told[1:]] == [line.strip() for line in together]
    other = talk("One?\n", "--transcript", str(path))
    assert other.code == 2 and "a chat with another persona" in other.err


def test_a_model_with_a_template_is_asked_by_it(talk, persona, model) -> None:
    path = model / "chat_template.jinja"
    path.write_text("{{ raise_exception('It has ' ~ messages | length ~ ' of them') }}")
    try:
        done = talk("Hi\n")
        assert done.code == 2 and "template refuses these messages: It has 1 of them." in done.err
        assert talk("Hi\n", "--persona", persona).code == 0
        path.write_text("{{ bos_token }}{% for m in messages %}<turn>{{ m.content }}{% endfor %}<turn>")
        assert talk("Hi\nHo\n").out.count("\n") >= 2
        path.write_text("{{ range(10**9) | list }}")
        done = talk("Hi\n")
        assert done.code == 3 and "template was stopped" in done.err and done.err.count("\n") == 1
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--persona", "none.txt"), 4, "none.txt does not exist"),
        (("--transcript", "."), 4, "folder"),
        (("--temperature", "-1"), 2, "temperature"),
        (("--max-tokens", "0"), 2, "max_tokens"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(talk, options, code, words) -> None:
    done = talk("Hi\n", *options)
    assert (done.code, done.out) == (code, "") and words in done.err and done.err.count("\n") == 1


class Interrupted:
    """Answers; where the question says stop, Ctrl-C comes after three letters."""

    def complete(self, requests):
        raise AssertionError

    def stream(self, request):
        yield Piece(0, 0, "abc")
        if "stop" in request.prompt.split("\n")[-2]:
            raise KeyboardInterrupt
        yield Piece(0, 0, "def", Completion("abcdef", (), "stop", 0.0))


def test_ctrl_c_gives_up_the_answer_and_not_the_chat(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\nstop\ngo\n"))
    bot = ChatBot(Interrupted(), PersonaStyle(DEFAULT_PERSONA))
    assert ChatSession(bot).run() == 0
    told = capsys.readouterr()
    assert told.out == "abcdef\nabc\nabcdef\n" and "given up" in told.err
    assert [turn.question for turn in bot.turns] == ["go.", "go."]


def test_ctrl_c_between_answers_ends_with_130(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def readline(self, *limit):
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert ChatSession(ChatBot(Interrupted(), PersonaStyle(DEFAULT_PERSONA))).run() == 130


def test_a_terminal_shows_names_and_takes_ctrl_c(model, persona) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "potstill", "chat", str(model), *FEW, "--persona", persona]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TERM": "dumb",
        "OMP_NUM_THREADS": "1",
    }
    with subprocess.Popen(
        command, stdin=child, stdout=child, stderr=child, env=environment, start_new_session=True
    ) as process:
        os.close(child)
        try:
            assert "Ask Bo. `reset` begins anew" in read_until(parent, "Ann: ")
            os.write(parent, b"One?\n")
            assert re.search(r"One\?\r*\nBo: .*\nAnn: ", read_until(parent, "\nAnn: "), re.DOTALL)
            # Between the prompt and the wait for a key Python's own reader of lines misses a signal.
            time.sleep(0.3)
            # Its own session has no terminal that would turn the key into a signal.
            process.send_signal(2)
            assert process.wait(timeout=60) == 130
            assert "Traceback" not in read_until(parent, None)
        finally:
            process.kill()
    os.close(parent)


def read_until(descriptor: int, words: str | None) -> str:
    """What the terminal shows until `words` come, or until nothing more does."""
    told, until = "", time.monotonic() + 60
    while time.monotonic() < until and not (words and words in told):
        if not select.select([descriptor], [], [], 1 if words else 0.2)[0]:
            if words is None:
                break
            continue
        try:
            piece = os.read(descriptor, 4096)
        except OSError:
            break
        told += piece.decode(errors="replace")
    return told
