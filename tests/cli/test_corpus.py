"""`potstill corpus build`, `stats` and `dedup`, as they are typed."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("the quick brown fox " * 20)
    (folder / "b.txt").write_text("the quick brown fox " * 20)
    (folder / "c.txt").write_text("the quick brown fox " * 20 + "jumps")
    (folder / "d.txt").write_text("")
    (folder / "e.bytes").write_bytes(b"\0\1\2")
    return folder


def test_a_folder_becomes_a_corpus_and_its_figures_are_told(potstill, sources):
    built = potstill("corpus", "build", str(sources), "--out", "c", "--tokenizer", "bytes")
    assert built.code == 0
    assert "documents" in built.out and "1,205" in built.out
    assert "e.bytes (no text, by its first bytes)" in built.err
    told = json.loads(potstill("corpus", "stats", "c", "--json").out)
    assert told["schema"] == "potstill.corpus-stats/1"
    assert (told["num_documents"], told["num_tokens"], told["num_empty"]) == (4, 1205, 1)
    assert (told["num_bytes"], told["bytes_a_token"], told["longest"]) == (1205, 1.0, 405)
    assert told["sources"] == {"text": 4}
    assert told["vocabulary"]["kind"] == "bytes"


def test_build_names_every_file_it_passed_over_in_json(potstill, sources):
    built = potstill("corpus", "build", str(sources), "--out", "c", "--tokenizer", "bytes", "--json", "-q")
    told = json.loads(built.out)
    assert told["schema"] == "potstill.corpus-build/1" and built.err == ""
    assert told["passed_over"] == [
        {"path": str(sources / "e.bytes"), "reason": "no text, by its first bytes"}
    ]


def test_dedup_drops_what_is_said_again(potstill, sources):
    potstill("corpus", "build", str(sources), "--out", "c", "--tokenizer", "bytes")
    done = potstill("corpus", "dedup", "c", "--out", "less")
    assert done.code == 0
    assert "1 equal and 1 near documents of 4 dropped." in done.err
    dropped = [json.loads(line) for line in Path("less/dropped.jsonl").read_text().splitlines()]
    assert [(each["reason"], each["document"], each["kept"]["document"]) for each in dropped] == [
        ("equal", 1, 0),
        ("near", 2, 0),
    ]
    told = json.loads(potstill("corpus", "dedup", "c", "--out", "equal", "--equal-only", "--json").out)
    assert told["dropped"] == {"equal": 1, "near": 0} and told["num_documents"] == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["stats", "nowhere"], 4),
        (["build", "nowhere", "--out", "c", "--tokenizer", "bytes"], 4),
        (["build", "texts/e.bytes", "--out", "texts", "--tokenizer", "bytes"], 2),
        (["build", "texts", "--out", "c", "--tokenizer", "bytes", "--workers", "0"], 2),
        (["build", "texts", "--out", "c", "--tokenizer", "bytes", "--workers", "999"], 2),
        (["build", "texts"], 2),
        (["dedup", "c", "--out", "d", "--similarity", "0"], 2),
    ],
)
def test_a_mistake_ends_with_its_code_and_one_line(potstill, sources, arguments, code):
    told = potstill("corpus", *arguments)
    assert told.code == code
    assert told.out == "" and "Traceback" not in told.err


def test_a_damaged_corpus_ends_with_5(potstill, sources):
    potstill("corpus", "build", str(sources), "--out", "c", "--tokenizer", "bytes")
    with open("c/tokens.bin", "ab") as file:
        file.write(b"more")
    told = potstill("corpus", "stats", "c")
    assert told.code == 5 and "tokens.bin, byte" in told.err


def test_corpus_commands_do_not_load_torch(sources):
    import subprocess
    import sys

    script = (
        "import sys; from potstill.cli.main import main\n"
        f"try: main(['corpus', 'build', {str(sources)!r}, '--out', 'c', '--tokenizer', 'bytes', '-q'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=sources.parent, capture_output=True)
