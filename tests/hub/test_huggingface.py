"""Models from a hub: a stand-in on loopback, asked by a process with the variables a user would set."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from asking import Asker
from stand_in_hub import COMMIT, Repository, StandInHub, running

CONFIG = {"config.json": b"{}", "tokenizer.json": b'{"a": 1}'}
WEIGHTS = b"weights " * 50_000
REPOSITORIES = {
    "org/plain": Repository(
        {
            **CONFIG,
            "model.safetensors": WEIGHTS,
            "chat_template.jinja": b"{{ x }}",
            "README.md": b"words",
            "modeling_own.py": b"print('never fetched')",
            "pytorch_model.bin": b"never fetched",
            "consolidated.safetensors": b"the same again",
            "model.gguf": b"GGUF never fetched",
            "onnx/model.safetensors": b"never fetched",
        }
    ),
    "org/one-gguf": Repository({"one.gguf": b"GGUF one", "README.md": b"words"}),
    "org/two-gguf": Repository({"q4.gguf": b"GGUF q4", "q8.gguf": b"GGUF q8"}),
    "org/pickled": Repository({**CONFIG, "pytorch_model.bin": b"a pickle"}),
    "org/words": Repository({"README.md": b"words"}),
    "org/gated": Repository({**CONFIG, "model.safetensors": b"gated"}, token="hf_mine", is_gated=True),
    "org/private": Repository({**CONFIG, "model.safetensors": b"private"}, token="hf_mine"),
    "org/astray": Repository({**CONFIG, "model.safetensors": b"weights"}, commit="../../astray"),
    "org/altered": Repository(
        {**CONFIG, "model.safetensors": b"altered"}, claimed={"model.safetensors": b"original"}
    ),
}


@pytest.fixture
def ask(tmp_path):
    with running(StandInHub(REPOSITORIES)) as hub:
        yield Asker(tmp_path, hub)


def names_in(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_hub_id_is_fetched_pinned_and_used_again_offline(ask):
    first, pinned = ask("org/plain", f"org/plain@{COMMIT}").lines
    assert (first["origin"], first["revision"]) == ("hub", COMMIT)
    assert pinned == first
    assert names_in(first["path"]) == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (Path(first["path"]) / "model.safetensors").read_bytes() == WEIGHTS
    num_fetched = len(ask.hub.fetched)
    assert num_fetched == 5

    again, offline = ask("org/plain"), ask("org/plain", HF_HUB_OFFLINE="1")
    unreachable = ask("org/plain", HF_ENDPOINT="http://127.0.0.1:9")
    assert again.lines == offline.lines == unreachable.lines == [first]
    assert len(ask.hub.fetched) == num_fetched


def test_the_size_is_shown_before_anything_is_fetched(ask):
    answers = ask("org/plain")
    assert "org/plain at 0123456789ab: 0 MB to fetch from http://127.0.0.1" in answers.stderr.splitlines()[0]
    assert "to fetch" not in ask("org/plain").stderr


def test_a_gguf_repository_is_its_file_or_the_one_that_is_named(ask):
    one, two, named, absent = ask(
        "org/one-gguf", "org/two-gguf", "org/two-gguf/q8.gguf", "org/two-gguf/q5.gguf"
    ).lines
    assert Path(one["path"]).read_bytes() == b"GGUF one"
    assert "org/two-gguf/q4.gguf, org/two-gguf/q8.gguf" in two["error"]
    assert Path(named["path"]).read_bytes() == b"GGUF q8"
    assert "has no q5.gguf" in absent["error"]
    assert not any("q4" in name for name in ask.hub.fetched)


def test_what_cannot_be_had_is_one_line_and_a_missing_model(ask):
    expected = {
        "org/nothing": "has no model org/nothing",
        "org/pickled": "pytorch_model.bin, a pickle",
        "org/words": "neither safetensors nor GGUF",
        "org/gated": "Accept them at",
        "org/private": "HF_TOKEN",
        "org/plain@v9": "no revision v9",
        "org/astray": "names no commit",
    }
    for (name, text), answer in zip(expected.items(), ask(*expected).lines, strict=True):
        assert text in answer["error"], name
        assert "\n" not in answer["error"]
        assert (answer["kind"], answer["exit_code"]) == ("ModelMissing", 4)
    assert not ask.hub.fetched


def test_a_token_opens_what_is_private_and_what_is_gated(ask):
    answers = ask("org/private", "org/gated", HF_TOKEN="hf_mine").lines
    assert [(Path(answer["path"]) / "model.safetensors").read_bytes() for answer in answers] == [
        b"private",
        b"gated",
    ]
    assert "hf_mine" in ask.hub.tokens


def test_a_file_with_another_hash_is_damaged_and_removed(ask):
    for _ in range(2):
        (answer,) = ask("org/altered").lines
        assert (answer["kind"], answer["exit_code"]) == ("DamagedError", 5)
    assert not list((ask.home / "hf").rglob("model.safetensors"))


def test_a_hub_out_of_reach_says_what_to_do(ask):
    (offline,) = ask("org/plain", HF_HUB_OFFLINE="1").lines
    (unreachable,) = ask("org/plain", HF_ENDPOINT="http://127.0.0.1:9").lines
    for answer in (offline, unreachable):
        assert "was not fetched to this machine before" in answer["error"]
        assert "HF_ENDPOINT" in answer["error"]
        assert answer["exit_code"] == 4
    assert not ask.hub.fetched
