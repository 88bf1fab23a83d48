"""`potstill corpus dedup --repeats N`: documents that mostly repeat earlier ones go."""

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from potstill.corpus.build import build_corpus
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.files import write_text

LONG = "a passage that is long enough to be found again wherever it stands"
TEXTS = [
    "first: " + LONG,
    "no such thing in here, only words of its own",
    LONG + "!",
    LONG + " " + "0123456789" * 20,
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_text(tmp_path / "texts.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    build_corpus([tmp_path / "texts.jsonl"], tmp_path / "corpus", ByteVocabulary())
    return tmp_path / "corpus"


def test_what_mostly_repeats_an_earlier_document_goes(potstill: Command, corpus: Path) -> None:
    done = potstill("corpus", "dedup", "corpus", "--out", "out", "--repeats", "30", "--quiet", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)["dropped"]["repeats"]
    digits = 200
    assert told == {
        "num_repeated_tokens": 3 * len(LONG) + digits,
        "num_later_tokens": 2 * len(LONG) + digits - 10,
        "num_dropped": 2,
    }
    assert Store(Path("out")).num_documents == 2
    rows = [json.loads(line) for line in Path("out/dropped.jsonl").read_text().splitlines()]
    assert [(row["document"], row["record"], row["reason"]) for row in rows] == [
        (2, 2, "repeats"),
        (3, 3, "repeats"),
    ]


def test_the_share_decides(potstill: Command, corpus: Path) -> None:
    done = potstill(
        "corpus", "dedup", "corpus", "--out", "out", "--repeats", "30", "--repeated-share", "0.98", "--quiet"
    )
    assert done.code == 0 and Store(Path("out")).num_documents == 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--repeats", "30", "--similarity", "0.9"], "--repeats"),
        (["--repeats", "30", "--equal-only"], "--repeats"),
        (["--repeated-share", "0.9"], "--repeated-share"),
        (["--equal-only", "--similarity", "0.9"], "--equal-only"),
    ],
)
def test_an_option_without_effect_is_refused(
    potstill: Command, corpus: Path, options: list[str], told: str
) -> None:
    done = potstill("corpus", "dedup", "corpus", "--out", "out", *options)
    assert done.code == 2 and told in done.err and not Path("out").exists()
