import json
import random
from pathlib import Path

import pytest

from index.stand_in import StandIn
from index.test_overlap import EDGES, plant, text_of, vocabulary_named
from potstill.errors import ConfigError, RefusedError, UsageError
from potstill.files import write_text
from potstill.index.contamination import (
    EvalRecord,
    GateSettings,
    contamination,
    example,
    holding_documents,
    read_eval,
    refuse,
)
from potstill.index.overlap import OverlapSettings

PLANTED = "one two three four five six seven eight nine ten eleven twelve thirteen"


def record(*texts: str, number: int = 0) -> EvalRecord:
    return EvalRecord(Path("eval.jsonl"), number, f"eval.jsonl, line {number + 1}", texts)


def test_a_record_is_contaminated_from_the_threshold_on() -> None:
    index = StandIn.of([f"before {PLANTED} after"])
    texts = [
        PLANTED,
        f"{'x' * len(PLANTED)} {PLANTED}",
        "nothing of the kind stands in there at all, nothing",
    ]
    found = contamination(index, [record(text, number=at) for at, text in enumerate(texts)])
    assert [each.record.position for each in found.records] == [0, 1]
    assert [round(each.share, 2) for each in found.records] == [1.0, 0.5]
    assert [each.record.position for each in found.contaminated] == [0]
    any_ngram = contamination(index, [record(text) for text in texts], GateSettings(threshold=0))
    assert len(any_ngram.contaminated) == 2


def test_a_long_match_is_enough_by_itself() -> None:
    shared = " ".join(f"word{number}" for number in range(50))
    other = " ".join(f"other{number}" for number in range(200))
    index = StandIn.of([shared])
    (found,) = contamination(index, [record(f"{other} {shared} {other}")]).contaminated
    assert found.longest_words == 50 and found.share < 0.2
    assert not contamination(index, [record(f"{other} {shared.rpartition(chr(32))[0]} {other}")]).contaminated


def test_the_refusal_names_the_worst_records() -> None:
    index = StandIn.of([PLANTED])
    found = contamination(index, [record(PLANTED, number=at) for at in range(5)])
    with pytest.raises(RefusedError, match=r"5 of 5 .*eval.jsonl, line 1 \(100% shared.*longest match 13 w"):
        refuse(found)
    refuse(contamination(index, [record("something else, of which the corpus knows nothing, really")]))


def test_records_too_short_for_ngrams_are_counted_apart() -> None:
    found = contamination(StandIn.of(["yes indeed"]), [record("yes"), record(PLANTED)])
    assert found.num_records == 2 and found.num_too_short == 1 and not found.records


def test_all_texts_of_a_record_count_together() -> None:
    index = StandIn.of([PLANTED])
    (found,) = contamination(index, [record(PLANTED, "z" * 2 * len(PLANTED))]).records
    assert found.share == pytest.approx(1 / 3) and found.num_matching == found.num_ngrams == 1
    place = example(index, found.longest)
    assert place is not None and place.match == PLANTED and place.source.byte_start == 0


@pytest.mark.parametrize("name", ["bytes", "byte-level", "metaspace"])
def test_without_the_documents_that_hold_them_no_record_matches(name: str) -> None:
    generator, vocabulary = random.Random(4), vocabulary_named(name)
    settings = GateSettings(OverlapSettings(ngram=7, min_words=5), threshold=0)
    texts, documents = [], [text_of(generator, 30) for _ in range(10)]
    for _ in range(12):
        text, document, planted = plant(generator, 7)
        texts.append(text)
        documents += [document, f"{generator.choice(EDGES)}{planted}{generator.choice(EDGES)}"]
    records = [record(text, number=at) for at, text in enumerate(texts)]
    index = StandIn.of(documents, vocabulary)
    found = contamination(index, records, settings)
    assert len(found.contaminated) == len(texts)
    holding = holding_documents(index, found)
    assert set(range(10, len(documents))) <= set(holding)
    kept = [document for number, document in enumerate(documents) if number not in holding]
    assert len(kept) >= 5
    assert not contamination(StandIn.of(kept, vocabulary), records, settings).records


def test_the_records_of_a_file_are_read_with_all_their_text(tmp_path: Path) -> None:
    rows = [{"id": 7, "source": "a b", "targets": ["c", "d e"], "none": None}, {"source": "f", "targets": []}]
    path = tmp_path / "eval.jsonl"
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    assert [each.texts for each in read_eval([path])] == [("a b", "c", "d e"), ("f",)]
    assert [each.texts for each in read_eval([path], ["source"])] == [("a b",), ("f",)]
    with pytest.raises(UsageError, match=r"line 1 has no field sauce; it has id, source.*--field"):
        list(read_eval([path], ["sauce"]))
    with pytest.raises(UsageError, match="line 2 holds no text in targets"):
        list(read_eval([path], ["targets"]))


def test_a_line_of_a_text_file_is_a_record(tmp_path: Path) -> None:
    write_text(tmp_path / "eval.txt", "first\n\nsecond\n")
    assert [each.texts for each in read_eval([tmp_path / "eval.txt"])] == [("first",), ("second",)]


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"threshold": -0.1}, {"longest_words": 0}])
def test_a_setting_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        GateSettings(**wrong)
