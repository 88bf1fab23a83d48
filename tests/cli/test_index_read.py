"""`potstill index count|find|prob|next|infgram|search` on indexes of bytes and of a tokenizer."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import tokenizers

from cli.conftest import Command
from potstill.corpus.vocabulary import ByteVocabulary, TokenizerVocabulary
from potstill.files import write_text
from potstill.index.build import BuildSettings, build_index
from potstill.tokenization.tokenizer import Tokenizer

TEXTS = {
    "sayings.txt": "Actions speak louder than words. "
    "They said that actions speak louder than words; nothing more.",
    "notes.md": "Deep learning is one kind of machine learning.\n"
    "Natural language processing uses deep learning.\n",
    "café.txt": "The café sells poems: “actions speak louder than coffee”.",
    "papers.jsonl": json.dumps({"text": "Natural language processing came before machine learning."})
    + "\n"
    + json.dumps({"text": "Nothing to see."})
    + "\n",
}
SAYING = "actions speak louder than"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for name, text in TEXTS.items():
        write_text(folder / name, text)
    return folder


@pytest.fixture(scope="module")
def in_bytes(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    index = tmp_path_factory.mktemp("indexes") / "bytes"
    build_index([folder], index, ByteVocabulary(), BuildSettings(1 << 26))
    return str(index)


@pytest.fixture(scope="module")
def in_tokens(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a byte-level BPE that was trained until words of the texts are tokens."""
    index = tmp_path_factory.mktemp("tokens") / "index"
    build_index([folder], index, byte_level(TEXTS.values()), BuildSettings(1 << 26))
    return str(index)


def byte_level(texts: Iterable[str]) -> TokenizerVocabulary:
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(texts, trainer)
    return TokenizerVocabulary(Tokenizer(backend, bos_id=None, eos_ids=()))


def told(potstill: Command, *arguments: str) -> dict:
    done = potstill("index", *arguments, "--json")
    assert done.code == 0, done.err or done.out
    return json.loads(done.out)


def test_count_of_one_text_is_a_number(potstill, in_bytes):
    assert potstill("index", "count", in_bytes, "speak").out == "3\n"
    assert potstill("index", "count", in_bytes, "nothing like it").out == "0\n"


def test_counts_of_bytes_are_counts_of_substrings(potstill, in_bytes):
    whole = "\0".join([TEXTS["sayings.txt"], TEXTS["notes.md"], TEXTS["café.txt"]])
    whole += "\0Natural language processing came before machine learning.\0Nothing to see."
    for text in ("a", "th", "é", "\n", " ", "learning.", "“"):
        assert potstill("index", "count", in_bytes, text).out == f"{whole.count(text)}\n"


def test_a_query_that_is_no_utf8_counts_bytes(potstill, in_bytes):
    assert potstill("index", "count", in_bytes, os.fsdecode(b"\xc3")).out == "1\n"
    assert potstill("index", "count", in_bytes, os.fsdecode(b"\xff\xfe")).out == "0\n"


def test_several_texts_give_a_table_and_tokens_are_shown_when_asked_for(potstill, in_tokens):
    done = potstill("index", "count", in_tokens, " louder than", " words", "--tokens")
    assert done.out.splitlines() == [
        "count  text          tokens",
        '    3   louder than  " louder" " than"',
        '    2   words        " words"',
    ]
    assert potstill("index", "count", in_tokens, " words", "--tokens").out == 'tokens: " words"\n2\n'


def test_texts_come_from_a_file_or_from_standard_input(potstill, in_bytes, tmp_path, monkeypatch):
    (tmp_path / "queries").write_bytes(b"speak\n\xe2\x80\n\nthan words\r\n")
    answers = told(potstill, "count", in_bytes, "--file", str(tmp_path / "queries"))["answers"]
    assert [answer["count"] for answer in answers] == [3, 2, answers[2]["count"], 2]
    assert (
        answers[2]["text"] == ""
        and answers[2]["count"] == told(potstill, "count", in_bytes, "")["num_tokens"]
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"99 97\n")))
    answers = told(potstill, "count", in_bytes, "115", "--file", "-", "--ids")["answers"]
    assert [answer["text"] for answer in answers] == ["115", "99 97"]
    assert answers[1]["count"] == 2 and answers[1]["tokens"][0] == {"id": 99, "text": "c"}


def test_a_text_that_only_occurs_behind_a_space_is_told(potstill, in_tokens):
    done = potstill("index", "count", in_tokens, "speak")
    assert done.out == "0\n" and '" speak", with a space in front' in done.err
    assert not potstill("index", "count", in_tokens, " speak").err


def test_places_are_shown_with_file_bytes_and_context(potstill, in_bytes, folder):
    done = potstill("index", "find", in_bytes, "louder than", "--context", "6")
    assert done.out.startswith("3 occurrences\n")
    assert f"{folder}/café.txt, bytes 40-51: document " in done.out
    assert "    speak [[louder than]] coffe" in done.out
    assert potstill("index", "find", in_bytes, "louder", "--limit", "1").out.startswith(
        "3 occurrences, 1 shown"
    )


def test_the_bytes_of_a_place_are_those_of_its_source(potstill, in_bytes, in_tokens):
    for index in (in_bytes, in_tokens):
        for text in (" louder than", " learning", *(["é sells"] if index == in_bytes else [])):
            found = told(potstill, "find", index, text)
            assert found["count"] == len(found["occurrences"]) > 0
            for place in found["occurrences"]:
                source, match = place["source"], place["match"]
                content = Path(source["path"]).read_bytes()
                if source["kind"] == "jsonl":
                    content = json.loads(content.splitlines()[source["record"]])["text"].encode()
                assert content[source["byte_start"] : source["byte_stop"]].decode() == match == text
                assert source["exact"]


def test_probability_is_the_share_of_the_contexts_occurrences(potstill, in_tokens):
    assert potstill("index", "prob", in_tokens, " louder than", " words").out == "0.666667  (2 of 3)\n"
    answer = told(potstill, "prob", in_tokens, " than nothing", " words")
    assert answer["probability"] is None and answer["context_count"] == 0
    assert "unknown" in potstill("index", "prob", in_tokens, " than nothing", " words").out


def test_next_answers_the_demonstration(potstill, in_tokens):
    done = potstill("index", "next", in_tokens, f" {SAYING}", "--tokens")
    first, head, likeliest, *_, last = done.out.splitlines()
    assert first == 'tokens: " actions" " speak" " louder" " than"'
    assert head.split() == ["token", "id", "count", "probability"]
    assert likeliest.split()[:2] == ['"', 'words"']
    assert last == "1 continuation of 1 occurrence"


def test_next_answers_the_demonstration_as_it_was_published(potstill, in_bytes, tmp_path):
    """`actions speak louder than`, with no space before it, gets ` words`; in bytes letter by letter."""
    texts = tmp_path / "proverbs.txt"
    write_text(texts, "actions speak louder than words\n")
    index = str(tmp_path / "index")
    build_index([texts], Path(index), byte_level(TEXTS.values()), BuildSettings(1 << 26))
    done = potstill("index", "next", index, SAYING, "--tokens")
    shown, _, likeliest, last = done.out.splitlines()
    assert shown.startswith("tokens: ") and shown.endswith('" speak" " louder" " than"')
    assert likeliest.startswith('" words" ') and last == "1 continuation of 1 occurrence"
    (answer,) = told(potstill, "next", index, SAYING)["continuations"]
    assert (answer["text"], answer["probability"]) == (" words", 1.0)
    written = ""
    for _ in " words":
        (letter,) = told(potstill, "next", in_bytes, f"They said that {SAYING}{written}")["continuations"]
        written += letter["text"]
    assert written == " words"


@pytest.mark.parametrize(
    "question",
    [
        ["count", " louder than"],
        ["count", " louder than", "--file", "lines"],
        ["find", " louder than"],
        ["prob", " louder", " than"],
        ["next", " louder than"],
        ["infgram", " louder than"],
        ["infgram", " louder", " than"],
        ["infgram", " louder than", "--every-token"],
        ["search", '" louder than"'],
        ["trace", "so louder than"],
    ],
)
def test_every_question_shows_its_tokens(potstill, in_tokens, question):
    write_text(Path("lines"), " louder than\n")
    command, *arguments = question
    done = potstill("index", command, in_tokens, *arguments, "--tokens")
    assert done.code == 0, done.err
    assert done.out.index('" louder"') < done.out.index('" than"')


def test_what_no_document_has_without_a_space_is_told_by_every_question(potstill, in_tokens):
    for question in (["prob", "louder", " than"], ["next", "louder"], ["find", "louder"]):
        assert (
            '" louder", with a space in front' in potstill("index", question[0], in_tokens, *question[1:]).err
        )
    done = potstill("index", "search", in_tokens, "louder AND (than OR nothing)")
    assert '" louder", with' in done.err and '" than", with' in done.err


def test_limits_and_budgets_may_be_larger_than_any_index(potstill, in_bytes):
    huge = str(10**30)
    assert len(told(potstill, "find", in_bytes, "louder", "--limit", huge)["occurrences"]) == 3
    assert told(potstill, "next", in_bytes, "louder", "--limit", huge, "--budget", huge)["is_exact"]
    assert told(potstill, "search", in_bytes, "louder", "--limit", huge, "--budget", huge)["count"] == 3


def test_standard_input_that_is_closed_is_told(potstill, in_bytes, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    for command in ("count", "trace"):
        done = potstill("index", command, in_bytes, "--file", "-")
        assert done.code == 2 and "Standard input is closed" in done.err


def test_a_search_may_be_for_bytes_that_are_no_text(potstill, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 au lait, th\xe9 vert")
    build_index([tmp_path / "latin.txt"], tmp_path / "index", ByteVocabulary(), BuildSettings(1 << 26))
    expression = os.fsdecode(b"caf\xe9 AND (th\xe9 OR tea)")
    assert told(potstill, "search", str(tmp_path / "index"), expression)["count"] == 1


def test_a_line_break_in_a_files_name_passes_for_no_line_of_ours(potstill, tmp_path):
    (tmp_path / "a\n3 occurrences").write_text("actions speak")
    build_index([tmp_path / "a\n3 occurrences"], tmp_path / "ix", ByteVocabulary(), BuildSettings(1 << 26))
    out = potstill("index", "find", str(tmp_path / "ix"), "speak").out
    assert "3 occurrences" not in out.splitlines() and "a\\n3 occurrences, bytes" in out


def test_next_tells_an_end_of_a_document_apart(potstill, in_bytes):
    answer = told(potstill, "next", in_bytes, "see.")
    assert (answer["num_end"], answer["total"], answer["continuations"]) == (1, 1, [])
    assert "(end of document)" in potstill("index", "next", in_bytes, "see.").out


def test_next_shows_as_many_as_asked_for_and_counts_all(potstill, in_bytes):
    answer = told(potstill, "next", in_bytes, "", "--limit", "3")
    assert len(answer["continuations"]) == 3 and answer["is_exact"]
    assert answer["total"] == answer["num_tokens"]
    counts = [each["count"] for each in answer["continuations"]]
    assert counts == sorted(counts, reverse=True)
    lines = potstill("index", "next", in_bytes, "", "--limit", "3").out.splitlines()
    assert len(lines) == 5


def test_a_budget_makes_the_answer_approximate_and_says_so(potstill, in_bytes):
    answer = told(potstill, "next", in_bytes, " s", "--budget", "1")
    assert not answer["is_exact"] and answer["unresolved"] > 0
    assert "approximate" in potstill("index", "next", in_bytes, " s", "--budget", "1").out


def test_the_infgram_goes_on_from_the_longest_end_that_occurs(potstill, in_tokens):
    done = potstill("index", "infgram", in_tokens, "deeds speak louder than")
    assert done.out.startswith('after 3 tokens: " speak" " louder" " than"\n')
    answer = told(potstill, "infgram", in_tokens, "deeds speak louder than")
    assert (answer["suffix_len"], answer["is_sparse"], answer["total"]) == (3, False, 3)
    token = told(potstill, "infgram", in_tokens, "deeds speak louder than", " words")
    assert (token["suffix_len"], token["count"], token["context_count"]) == (3, 2, 3)
    assert "0.666667  (2 of 3)" in potstill("index", "infgram", in_tokens, " than", " words").out


def test_the_infgram_of_every_token_of_a_text(potstill, in_tokens):
    tokens = told(potstill, "infgram", in_tokens, " louder than words", "--every-token")["tokens"]
    assert [token["text"] for token in tokens] == [" louder", " than", " words"]
    assert [token["suffix_len"] for token in tokens] == [0, 1, 2]
    assert tokens[2]["probability"] == 2 / 3
    assert '" words"' in potstill("index", "infgram", in_tokens, " than words", "--every-token").out


def test_search_counts_what_stands_near_each_other(potstill, in_bytes):
    expression = "atural language processing AND (deep learning OR machine learning)"
    done = potstill("index", "search", in_bytes, expression)
    assert done.out.startswith("2 occurrences in 2 documents\n")
    assert "[[atural language processing]]" in done.out
    near = told(potstill, "search", in_bytes, expression, "--window", "35")
    assert (near["count"], near["num_documents"], near["is_exact"]) == (1, 1, True)
    assert near["occurrences"][0]["match"] == "atural language processing"
    assert [len(clause) for clause in near["clauses"]] == [1, 2]
    assert "tokens, counted: " in potstill("index", "search", in_bytes, expression, "--tokens").out


def test_a_search_with_a_budget_tells_its_bounds(potstill, in_bytes):
    answer = told(potstill, "search", in_bytes, "th AND (e OR a)", "--budget", "2")
    exact = told(potstill, "search", in_bytes, "th AND (e OR a)")["count"]
    assert not answer["is_exact"] and answer["count"] <= exact <= answer["most"]
    assert (
        "approximate: at most"
        in potstill("index", "search", in_bytes, "th AND (e OR a)", "--budget", "2").out
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["count", "INDEX"], 2),
        (["count", "INDEX", "1 x", "--ids"], 2),
        (["count", "INDEX", "300", "--ids"], 2),
        (["count", "INDEX", "--file", "nowhere"], 4),
        (["count", "nowhere", "a"], 4),
        (["search", "INDEX", "a AND"], 2),
        (["search", "INDEX", "a", "--window", "-1"], 2),
        (["next", "INDEX", "a", "--budget", "0"], 2),
        (["infgram", "INDEX", "a", "bc"], 2),
        (["infgram", "INDEX", "a", "b", "--every-token"], 2),
        (["infgram", "INDEX", "a", "b", "--budget", "3"], 2),
        (["infgram", "INDEX", "a", "b", "--limit", "3"], 2),
        (["infgram", "INDEX", "a", "--every-token", "--limit", "3"], 2),
        (["count", "INDEX", "9" * 30, "--ids"], 2),
        (["find", "INDEX", "9" * 30, "--ids"], 2),
        (["count", "INDEX", "1_0", "--ids"], 2),
        (["count", "INDEX", "--file", "INDEX"], 4),
        (["count", "INDEX", "--file", "INDEX/manifest.json/x"], 4),
        (["search", "INDEX", '""'], 2),
        (["search", "INDEX", "a AND b OR c"], 2),
    ],
)
def test_what_cannot_be_answered_ends_with_its_code_and_one_line(potstill, in_bytes, arguments, code):
    words = [word.replace("INDEX", in_bytes) for word in arguments]
    done = potstill("index", *words)
    assert done.code == code and "Traceback" not in done.err
    assert done.err.count("\n") == 1 or done.err.startswith("Usage: ")
    failed = json.loads(potstill("index", *words, "--json").out)
    assert failed["error"]["exit_code"] == code


def test_damage_ends_with_5_and_names_file_and_byte(potstill, in_bytes, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(in_bytes, copy)
    (tokens,) = copy.glob("segments/*/tokens.bin")
    content = bytearray(tokens.read_bytes())
    content[100] ^= 1
    tokens.write_bytes(content)
    done = potstill("index", "count", str(copy), "louder than words")
    assert done.code == 5 and "tokens.bin, byte " in done.err


def test_a_segment_that_is_missing_is_left_out_only_when_asked_for(potstill, in_bytes, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(in_bytes, copy)
    shutil.rmtree(next(copy.glob("segments/*")))
    assert potstill("index", "count", str(copy), "a").code in (4, 5)
    done = potstill("index", "count", str(copy), "a", "--degraded")
    assert (done.code, done.out) == (0, "0\n")
    assert "without" in done.err


def test_asking_an_index_imports_no_torch(in_bytes):
    script = (
        "import sys; from potstill.cli.main import main\n"
        f"try: main(['index', 'count', {in_bytes!r}, 'speak'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "False"]
