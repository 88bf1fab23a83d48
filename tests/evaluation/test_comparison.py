"""Figures of systems side by side, against computations by hand and against rouge-score itself."""

import json

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from potstill.evaluation.comparison import Comparison, compare
from potstill.evaluation.examples import EvaluationExample
from potstill.evaluation.settings import EvaluationSettings

SOURCES = ("aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc", "dddddddddd")
SETTINGS = EvaluationSettings(resamples=500)
OUTPUTS = {
    "student": ["aaaaa", "bbb", "ccccc", "d"],
    "teacher": ["aaaaaaaaaa", "bbb", "", "dddd"],
}
JUDGES = {
    "is short": lambda pairs: np.array([0 < len(pair.target_text) <= 5 for pair in pairs]),
    "knows its source": lambda pairs: np.array([pair.target_text[:1] == pair.source[:1] for pair in pairs]),
}


def compared(references: tuple[tuple[str, ...], ...] = ((), (), (), ())) -> Comparison:
    examples = [
        EvaluationExample(str(index), source, wanted)
        for index, (source, wanted) in enumerate(zip(SOURCES, references, strict=True))
    ]
    return compare(examples, OUTPUTS, JUDGES, "student", SETTINGS, seed=3)


def test_means_and_differences_equal_a_computation_by_hand() -> None:
    scores = compared().scores
    means = {
        system: {figure: score.interval.mean for figure, score in figures.items()}
        for system, figures in scores.items()
    }
    assert means == {
        "student": {"is short": 1.0, "knows its source": 1.0, "compression": pytest.approx(1.4 / 4)},
        "teacher": {"is short": 0.5, "knows its source": 0.75, "compression": pytest.approx(1.7 / 4)},
    }
    differences = {figure: score.difference for figure, score in scores["teacher"].items()}
    told = {figure: difference.mean for figure, difference in differences.items() if difference}
    assert told == {
        "is short": 0.5,
        "knows its source": 0.25,
        "compression": pytest.approx((1.4 - 1.7) / 4),
    }


def test_the_reference_system_is_not_compared_with_itself() -> None:
    comparison = compared()
    assert comparison.reference == "student" and comparison.num_examples == 4
    assert all(score.difference is None for score in comparison.scores["student"].values())


def test_every_interval_holds_its_mean_and_is_no_wider_than_the_values() -> None:
    for figures in compared().scores.values():
        for score in figures.values():
            for interval in (score.interval, score.difference):
                if interval is not None:
                    assert interval.low <= interval.mean <= interval.high
                    assert interval.low >= -1 and interval.high <= 1


def test_a_higher_level_gives_a_wider_interval() -> None:
    examples = [EvaluationExample(str(index), "abcdefghij") for index in range(40)]
    outputs = {"student": ["x" * (1 + index % 7) for index in range(40)]}

    def width(level: float) -> float:
        settings = EvaluationSettings(resamples=1000, level=level)
        interval = compare(examples, outputs, {}, "student", settings, 0).scores["student"]["compression"]
        return interval.interval.high - interval.interval.low

    assert 0 < width(0.6) < width(0.95) < width(0.99)


def test_rouge_is_told_only_where_every_example_has_references() -> None:
    some = compared((("a",), (), ("c",), ("d",)))
    assert all(figures.keys() == {*JUDGES, "compression"} for figures in some.scores.values())
    every = compared((("a",), ("b", "bb"), ("c",), ("d",)))
    figures = {*JUDGES, "compression", "rouge_1", "rouge_2", "rouge_l"}
    assert all(scores.keys() == figures for scores in every.scores.values())


def test_rouge_equals_the_package_rouge_score_with_the_best_of_the_references() -> None:
    references = [("Police close the old bridge.", "Bridge closed."), ("Shares fell by 12 percent.",)]
    texts = ["The bridge was closed by police.", "Shares fall 12 percent."]
    examples = [EvaluationExample(str(i), "A long sentence.", wanted) for i, wanted in enumerate(references)]
    scores = compare(examples, {"student": texts}, {}, "student", SETTINGS, 0).scores["student"]
    kinds = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougeL": "rouge_l"}
    scorer = RougeScorer(list(kinds), use_stemmer=True)
    for kind, figure in kinds.items():
        best = [
            max(scorer.score(reference, text)[kind].fmeasure for reference in wanted)
            for wanted, text in zip(references, texts, strict=True)
        ]
        assert scores[figure].interval.mean == pytest.approx(sum(best) / len(best))


def test_the_same_seed_gives_the_same_record_as_json() -> None:
    first, second = compared().to_record(), compared().to_record()
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    assert json.loads(json.dumps(first)) == first


def test_systems_must_answer_every_example() -> None:
    examples = [EvaluationExample("0", "One."), EvaluationExample("1", "Two.")]
    with pytest.raises(ValueError):
        compare(examples, {"student": ["only one"]}, {}, "student", SETTINGS, 0)
