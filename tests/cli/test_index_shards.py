"""`potstill index build --shards` and the other commands on what it makes."""

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from potstill.files import write_text

TEXTS = ["the cat sat", "on the mat", "and the dog", "ran to the cat"]


@pytest.fixture
def texts(tmp_path: Path) -> str:
    for number, text in enumerate(TEXTS):
        write_text(tmp_path / "texts" / f"{number}.txt", text)
    return str(tmp_path / "texts")


@pytest.fixture
def index(potstill: Command, texts: str, tmp_path: Path) -> str:
    index = str(tmp_path / "index")
    done = potstill(
        "index", "build", texts, "--out", index, "--tokenizer", "bytes", "--shards", "3", "--workers", "1"
    )
    assert (done.code, done.out) == (0, f"{index}: 4 documents, 46 tokens, 3 shards, generation 1\n")
    return index


def test_a_build_in_shards_tells_what_it_made(potstill, texts, index, tmp_path):
    command = [
        "index",
        "build",
        texts,
        "--out",
        index,
        "--tokenizer",
        "bytes",
        "--shards",
        "3",
        "--workers",
        "1",
    ]
    told = json.loads(potstill(*command, "--json").out)
    assert told == {
        "schema": "potstill.index-shards/1",
        "index": index,
        "generation": 1,
        "num_documents": 4,
        "num_tokens": 46,
        "num_shards": 3,
    }


def test_every_question_is_answered_over_all_shards(potstill, index):
    assert potstill("index", "count", index, "the").out == "4\n"
    found = json.loads(potstill("index", "find", index, "cat", "--json").out)
    assert [each["document"] for each in found["occurrences"]] == [0, 3]
    assert json.loads(potstill("index", "next", index, "the ", "--json").out)["partial"] is False
    assert potstill("index", "infgram", index, "all the c").code == 0
    assert potstill("index", "search", index, "the AND cat").code == 0
    assert potstill("index", "trace", index, "the cat sat on the mat").code == 0


def test_stats_and_verify_see_all_shards(potstill, index):
    assert json.loads(potstill("index", "stats", index, "--json").out)["num_documents"] == 4
    assert json.loads(potstill("index", "verify", index, "--json").out)["is_whole"] is True


def test_a_missing_shard_is_refused_and_with_degraded_the_answer_says_so(potstill, index):
    manifest = sorted(Path(index).glob("shards/*/manifest.json"))[1]
    manifest.unlink()
    refused = potstill("index", "count", index, "the")
    assert refused.code == 4 and manifest.parent.name in refused.err
    told = json.loads(potstill("index", "count", index, "the", "--degraded", "--json").out)
    assert told["partial"] is True and told["left_out"] == [f"shards/{manifest.parent.name}"]
    assert told["answers"][0]["count"] in (2, 3)
    assert potstill("index", "verify", index).code == 5


def test_what_changes_an_index_is_refused_for_one_in_shards(potstill, texts, index):
    for command in (["add", index, texts], ["delete", index, "--document", "0"], ["merge", index]):
        done = potstill("index", *command)
        assert done.code == 2 and "in shards" in done.err


def test_an_unknown_executor_is_a_usage_error(potstill, texts, tmp_path):
    done = potstill(
        "index",
        "build",
        texts,
        "--out",
        str(tmp_path / "index"),
        "--tokenizer",
        "bytes",
        "--executor",
        "slurm",
    )
    assert done.code == 2 and "local, ray" in done.err
