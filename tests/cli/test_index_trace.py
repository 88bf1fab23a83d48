"""`potstill index trace` on a small index of bytes."""

import io
import json
from pathlib import Path

import pytest

from cli.conftest import Command
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.files import write_text
from potstill.index.build import BuildSettings, build_index

DOCUMENTS = {
    "still.txt": "The still of copper stands in the yard, and the old man says nothing about it to anyone.",
    "winter.txt": "A quick brown fox. Nothing else was said that winter.\x1b[31m The end\u202e.",
}
TEXT = "He said: the still of copper stands in the yard, and nothing else was said that winter. Ah\x1b[2J"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    for name, text in DOCUMENTS.items():
        write_text(tmp_path / "texts" / name, text)
    folder = tmp_path / "index"
    build_index([tmp_path / "texts"], folder, ByteVocabulary(), BuildSettings(1 << 26))
    return folder


def test_the_text_is_shown_with_its_spans_and_the_documents_below(potstill: Command, index: Path) -> None:
    done = potstill("index", "trace", str(index), TEXT, "--density", "0.2")
    assert done.code == 0, done.err
    assert "[[still of copper stands in the yard, and]](1)" in done.out
    assert "[[othing" not in done.out and "[[else was said that winter.]](2)" in done.out
    assert "texts/still.txt, bytes 4-" in done.out
    assert "The [[still of copper" in done.out
    assert "2 of 2 spans" in done.out


def test_nothing_of_a_text_or_a_document_steers_the_terminal(potstill: Command, index: Path) -> None:
    done = potstill("index", "trace", str(index), TEXT, "--density", "0.2")
    assert "\x1b" not in done.out and "\u202e" not in done.out
    assert "\\x1b[2J" in done.out and "\\x1b[31m" in done.out and "\\u202e" in done.out


def test_json_holds_every_place_with_its_bytes(potstill: Command, index: Path) -> None:
    done = potstill("index", "trace", str(index), TEXT, "--density", "0.2", "--json", "--tokens")
    told = json.loads(done.out)
    assert told["schema"] == "potstill.index-trace/1" and told["num_found"] == 2
    assert len(told["tokens"]) == told["num_text_tokens"] == len(TEXT)
    for span in told["spans"]:
        assert TEXT.encode()[span["byte_start"] : span["byte_stop"]].decode() == span["text"]
        assert span["count"] == 1 and span["logprob"] < 0
    for document in told["documents"]:
        (hit,) = document["hits"]
        held = Path(hit["source"]["path"]).read_bytes()
        place = slice(hit["source"]["byte_start"], hit["source"]["byte_stop"])
        assert held[place].decode() == told["spans"][hit["span"]]["text"]
        assert told["documents"].index(document) in told["spans"][hit["span"]]["documents"]


def test_a_file_or_standard_input_is_traced_too(
    potstill: Command, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "page.txt", TEXT)
    wanted = potstill("index", "trace", str(index), TEXT, "--json").out
    assert potstill("index", "trace", str(index), "--file", "page.txt", "--json").out == wanted
    stdin = io.TextIOWrapper(io.BytesIO(TEXT.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert potstill("index", "trace", str(index), "--file", "-", "--json").out == wanted


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Name one text"),
        (("text", "--file", "x"), 2, "Name one text"),
        (("--file", "nowhere.txt"), 4, "There is no file nowhere.txt"),
        (("text", "--density", "0"), 2, "density is 0.0; it must be above 0"),
        (("text", "--min-tokens", "0"), 2, "--min-tokens"),
    ],
)
def test_a_mistake_is_told(
    potstill: Command, index: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = potstill("index", "trace", str(index), *arguments)
    assert done.code == code and message in done.err


def test_a_text_of_which_nothing_occurs(potstill: Command, index: Path) -> None:
    done = potstill("index", "trace", str(index), "ξένος")
    assert done.code == 0 and "0 of 0 spans, 0% of the text, 0 documents" in done.out
