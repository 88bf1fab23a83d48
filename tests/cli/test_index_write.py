"""`potstill index build|add|delete|merge|verify|stats` as a user meets them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.conftest import Command
from index.small_texts import VOCABULARIES
from potstill.cli import index_vocabulary
from potstill.locks import locked

TEXT = "actions speak louder than words"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(TEXT)
    (tmp_path / "texts" / "b.md").write_text("words and words")
    (tmp_path / "texts" / "c.bin").write_bytes(b"\0\1\2")
    return tmp_path / "texts"


@pytest.fixture
def index(potstill: Command, texts: Path, tmp_path: Path) -> Path:
    done = potstill("index", "build", str(texts), "--out", str(tmp_path / "index"), "--tokenizer", "bytes")
    assert done.code == 0, done.err
    return tmp_path / "index"


def test_a_build_tells_what_is_in_the_index(potstill: Command, texts: Path, tmp_path: Path) -> None:
    done = potstill("index", "build", str(texts), "--out", "index", "--tokenizer", "bytes", "--json")
    told = json.loads(done.out)
    assert done.code == 0 and told["schema"] == "potstill.index-change/1"
    assert (told["num_documents"], told["generation"], told["num_tokens"]) == (2, 1, len(TEXT) + 15)
    again = potstill("index", "build", str(texts), "--out", "index", "--tokenizer", "bytes")
    assert again.out == "index: 2 documents, 46 tokens, generation 1\n"


def test_what_was_passed_over_is_named_with_its_reason(potstill: Command, texts: Path) -> None:
    (texts / "line\nend.txt").symlink_to(texts / "nowhere")
    build = ("index", "build", str(texts), "--out", "index", "--tokenizer", "bytes")
    done = potstill(*build)
    assert "2 files were passed over:\n" in done.err
    assert f"  {texts}/c.bin (no text, by its name)\n" in done.err
    assert f"  {texts}/line\\nend.txt (No such file or directory)\n" in done.err
    assert json.loads(potstill(*build, "--json").out)["passed_over"] is None
    added = json.loads(potstill("index", "add", "index", str(texts), "--json", "-q").out)
    assert [Path(each["path"]).name for each in added["passed_over"]] == ["c.bin", "line\nend.txt"]


def test_a_folder_needs_no_other_argument(potstill: Command, texts: Path) -> None:
    done = potstill("index", "build", str(texts), "-q")
    assert done.code == 0, done.err
    assert potstill("index", "count", "texts.index", "louder").code == 0
    several = potstill("index", "build", str(texts / "a.txt"), str(texts / "b.md"))
    assert several.code == 2 and "--out INDEX" in several.err


def test_without_a_tokenizer_the_embedded_model_is_taken_or_bytes_and_told(
    potstill: Command, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_vocabulary, "_is_installed", lambda pieces: False)
    done = potstill("index", "build", str(texts), "--out", "bytes", "-q")
    assert done.code == 0 and "Every byte is a token" in done.err
    monkeypatch.setattr(index_vocabulary, "_is_installed", lambda pieces: True)
    monkeypatch.setattr(index_vocabulary, "_of_model", lambda name, progress: VOCABULARIES["tokenizer"])
    done = potstill("index", "build", str(texts), "--out", "tokens", "-q")
    assert done.code == 0 and "gemma-3-270m" in done.err
    assert json.loads(potstill("index", "stats", "tokens", "--json").out)["vocabulary"]["kind"] == "tokenizer"


def test_a_folder_with_a_tokenizer_names_the_vocabulary(
    potstill: Command, texts: Path, tmp_path: Path
) -> None:
    VOCABULARIES["tokenizer"].save(tmp_path / "model")
    done = potstill("index", "build", str(texts), "--out", "index", "--tokenizer", "model", "-q")
    assert done.code == 0, done.err
    assert potstill("index", "count", "index", "words").out == "3\n"


def test_a_corpus_brings_its_own_vocabulary(potstill: Command, texts: Path) -> None:
    assert potstill("corpus", "build", str(texts), "--out", "corpus", "--tokenizer", "bytes").code == 0
    assert potstill("index", "build", "corpus", "--out", "index", "-q").code == 0
    assert potstill("index", "count", "index", "words").out == "3\n"
    refused = potstill("index", "build", "corpus", str(texts), "--out", "other")
    assert refused.code == 2 and "by itself" in refused.err


def test_documents_are_added_deleted_and_merged(potstill: Command, index: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("more words")
    name = str(index)
    assert (
        potstill("index", "add", name, "more.txt", "-q").out
        == f"{name}: 3 documents, 56 tokens, generation 2\n"
    )
    assert potstill("index", "count", name, "words").out == "4\n"
    assert potstill("index", "delete", name, "--document", "0", "--source", "more.txt", "-q").code == 0
    assert potstill("index", "count", name, "words").out == "2\n"
    told = json.loads(potstill("index", "stats", name, "--json").out)
    assert [segment["sign"] for segment in told["segments"]] == [1, 1, -1]
    merged = json.loads(potstill("index", "merge", name, "--json", "-q").out)
    assert (merged["num_segments"], merged["num_documents"], merged["generation"]) == (1, 1, 4)
    assert potstill("index", "count", name, "words").out == "2\n"


def test_stats_tell_documents_tokens_and_bytes(potstill: Command, index: Path) -> None:
    shown = potstill("index", "stats", str(index)).out
    assert "documents" in shown and "46" in shown and "bytes, 256 tokens" in shown
    told = json.loads(potstill("index", "stats", str(index), "--json").out)
    assert told["schema"] == "potstill.index-stats/1" and told["bytes"] > told["query_bytes"] > 0
    assert told["bytes_per_token"] == told["query_bytes"] / told["num_tokens"]


def test_without_tables_an_index_is_smaller(potstill: Command, index: Path, texts: Path) -> None:
    build = ("index", "build", str(texts), "--tokenizer", "bytes", "-q")
    assert potstill(*build, "--out", "small", "--no-tables").code == 0
    sizes = [
        json.loads(potstill("index", "stats", name, "--json").out)["query_bytes"]
        for name in ("small", str(index))
    ]
    assert sizes[0] < sizes[1]
    assert potstill("index", "count", "small", "words").out == "3\n"


def test_verify_reports_each_file_and_ends_with_5_on_damage(potstill: Command, index: Path) -> None:
    whole = potstill("index", "verify", str(index), "-q")
    assert whole.code == 0 and "suffixes.bin" in whole.out and "DAMAGED" not in whole.out
    (path,) = index.rglob("tokens.bin")
    path.write_bytes(b"\7" + path.read_bytes()[1:])
    damaged = potstill("index", "verify", str(index), "-q")
    assert damaged.code == 5 and "DAMAGED" in damaged.out
    assert "tokens.bin, byte 0" in damaged.err and damaged.err.count("\n") == 1
    as_json = potstill("index", "verify", str(index), "--json", "-q")
    told = json.loads(as_json.out)
    assert as_json.code == 5 and not told["is_whole"]
    assert [check["path"] for check in told["checks"] if check["problem"]] == [str(path)]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("build", "nothing", "--out", "x"), 4, "does not exist"),
        (("build", "texts", "--out", "texts"), 2, "not empty and no index"),
        (("build", "texts", "--out", "x", "--memory", "much"), 2, "no amount of memory"),
        (("build", "texts", "--out", "x", "--tokenizer", "no-such-model"), 4, "no model"),
        (("add", "nothing", "texts"), 4, "is no index"),
        (("delete", "index"), 2, "Nothing to delete"),
        (("delete", "index", "--document", "9"), 2, "no document 9"),
        (("delete", "index", "--source", "elsewhere"), 2, "No live document"),
        (("merge", "texts"), 4, "is no index"),
        (("verify", "texts"), 4, "is no index"),
        (("stats", "texts"), 4, "is no index"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_mistakes_are_one_line_with_their_code(
    potstill: Command, index: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = potstill("index", *arguments)
    assert done.code == code and message in done.err
    assert len([line for line in done.err.splitlines() if line.startswith("potstill: ")]) == 1


def test_a_second_writer_is_refused_with_3(potstill: Command, index: Path, texts: Path) -> None:
    with locked(index):
        for words in (("build", str(texts), "--out"), ("merge",), ("add",), ("delete",)):
            rest = {"add": [str(texts)], "delete": ["--document", "0"]}.get(words[0], [])
            done = potstill("index", *words, str(index), *rest)
            assert done.code == 3 and f"process {os.getpid()}" in done.err, words


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_no_command_that_writes_imports_torch(texts: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom potstill.cli.main import main\n"
        "for words in (['build', 'texts', '--out', 'i', '--tokenizer', 'bytes'], ['stats', 'i'],\n"
        "              ['verify', 'i'], ['merge', 'i']):\n"
        "    try:\n        main(['index', *words])\n"
        "    except SystemExit as end:\n        assert not end.code\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment(), cwd=tmp_path, timeout=60
    )
    assert done.returncode == 0, done.stderr


SLOW = """
import signal, sys, threading, time
# Started in the background by a shell, Python inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from potstill import _native
def build_suffixes(*arguments, work, **options):
    print("sorting", flush=True)
    from potstill.index.native_work import _POLL_S
    while True:
        time.sleep(_POLL_S)
        if cancelled:
            raise _native.CancelledError("cancelled")
cancelled = []
class Work:
    done = 0
    def cancel(self):
        cancelled.append(True)
_native.build_suffixes, _native.Work = build_suffixes, Work
from potstill.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_native_core_and_the_same_command_goes_on(
    potstill: Command, texts: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    words = ["index", "build", str(texts), "--out", str(tmp_path / "i"), "--tokenizer", "bytes"]
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"sorting\n"
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    assert process.returncode == code, told
    assert b"run the same command again to go on" in told and b"Traceback" not in told
    assert list((tmp_path / "i" / ".building").rglob("store/tokens.bin"))
    assert potstill(*words).code == 0
    assert potstill("index", "count", str(tmp_path / "i"), "words").out == "3\n"


def test_a_second_process_is_refused_within_a_second_of_its_start(index: Path) -> None:
    with locked(index):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "potstill", "index", "merge", str(index)],
            capture_output=True,
            env=environment(),
            timeout=60,
        )
        took = time.perf_counter() - started
    assert done.returncode == 3 and f"process {os.getpid()}".encode() in done.stderr
    print(f"refused after {took:.2f} s, interpreter start included")
    assert took < 10
