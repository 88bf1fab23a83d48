"""Systems side by side on the same sentences: shares with intervals, differences in pairs, ROUGE, length."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from potstill.evaluation.examples import EvaluationExample
from potstill.evaluation.settings import EvaluationSettings
from potstill.metrics.bootstrap import Interval, mean_interval, paired_difference
from potstill.metrics.overlap import compression_ratio
from potstill.metrics.rouge import Rouge, rouge_f1
from potstill.types import TextPair

# Whether each pair passes, [num_pairs] booleans.
Judge = Callable[[Sequence[TextPair]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Score:
    """One figure of one system over all examples; `difference` is the reference system's minus this one's."""

    interval: Interval
    difference: Interval | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """scores[system][figure]; `reference` is the system the differences are against."""

    reference: str
    num_examples: int
    scores: Mapping[str, Mapping[str, Score]]

    def to_record(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    examples: Sequence[EvaluationExample],
    outputs: Mapping[str, Sequence[str]],
    judges: Mapping[str, Judge],
    reference: str,
    settings: EvaluationSettings,
    seed: int,
) -> Comparison:
    """outputs[system][i] answers examples[i]; `reference` is one of the systems."""
    values = {system: _values(examples, texts, judges) for system, texts in outputs.items()}
    scores = {
        system: {
            figure: Score(
                mean_interval(own, seed, samples=settings.resamples, level=settings.level),
                None
                if system == reference
                else paired_difference(
                    values[reference][figure], own, seed, samples=settings.resamples, level=settings.level
                ),
            )
            for figure, own in figures.items()
        }
        for system, figures in values.items()
    }
    return Comparison(reference, len(examples), scores)


def _values(
    examples: Sequence[EvaluationExample], texts: Sequence[str], judges: Mapping[str, Judge]
) -> dict[str, np.ndarray]:
    """Each figure of each example, [num_examples] float64."""
    pairs = [TextPair(example.source, text) for example, text in zip(examples, texts, strict=True)]
    values = {name: judge(pairs).astype(np.float64) for name, judge in judges.items()}
    values["compression"] = np.array([compression_ratio(pair.source, pair.target_text) for pair in pairs])
    if all(example.references for example in examples):
        rouge = [rouge_f1(example.references, text) for example, text in zip(examples, texts, strict=True)]
        for name in Rouge._fields:
            values[name] = np.array([getattr(score, name) for score in rouge])
    return values
