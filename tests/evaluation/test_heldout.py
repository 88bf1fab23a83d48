"""The built-in held-out sentences keep the promises that their figures rest on."""

import json
import re
import tomllib
from collections import defaultdict
from importlib.resources import files

from potstill.corpus.sentences import split_sentences

RUN_WORDS = 6


def held_out() -> list[dict[str, str]]:
    text = (files("potstill.evaluation") / "heldout" / "shorten.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def inputs() -> list[str]:
    return [record["input"] for record in held_out()]


def runs(sentence: str) -> set[tuple[str, ...]]:
    spoken = re.findall(r"[\w']+", sentence.lower())
    return {tuple(spoken[i : i + RUN_WORDS]) for i in range(len(spoken) - RUN_WORDS + 1)}


def test_there_are_500_records_with_ids_in_order() -> None:
    records = held_out()
    assert [record["id"] for record in records] == [f"heldout-{number:03d}" for number in range(1, 501)]
    assert all(record.keys() == {"id", "input"} for record in records)


def test_each_is_one_whole_sentence_of_15_to_42_words() -> None:
    for sentence in inputs():
        assert 15 <= len(sentence.split()) <= 42, sentence
        assert len(split_sentences(sentence)) == 1, sentence
        assert sentence == " ".join(sentence.split())
        assert sentence.rstrip('"')[-1] in ".?!", sentence


def test_no_two_share_a_run_of_six_words() -> None:
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, sentence in enumerate(inputs()):
        for run in runs(sentence):
            found[run].append(index)
    assert {run: where for run, where in found.items() if len(where) > 1} == {}


def test_none_shares_a_run_of_six_words_with_a_demonstration_of_the_task() -> None:
    task = tomllib.loads((files("potstill.tasks") / "builtin" / "shorten.toml").read_text("utf-8"))
    shown = set().union(*(runs(shot["source"]) for shot in task["shots"]))
    assert [sentence for sentence in inputs() if runs(sentence) & shown] == []
