"""zero-shot-classification: which of the caller's labels a text has."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from potstill.errors import UsageError
from potstill.lm.classification import Classifier
from potstill.pipelines.arguments import check_names, flag
from potstill.pipelines.held import Held
from potstill.pipelines.hypothesis import DEFAULT_TEMPLATE, Hypothesis, read_labels
from potstill.pipelines.input_limit import InputLimit, input_limit
from potstill.pipelines.job import checked_text, no_stream, one_input
from potstill.pipelines.likelihood import label_logprobs
from potstill.pipelines.writer import Writer
from potstill.progress import Task
from potstill.tokenization.tokenizer import Tokenizer

_TASK = "zero-shot-classification"
_KNOWN = ("candidate_labels", "hypothesis_template", "multi_label", "max_input_tokens")


class LabelScorer(Protocol):
    @property
    def tokenizer(self) -> Tokenizer: ...

    def scores(
        self, texts: Sequence[str], labels: Sequence[str], hypothesis: Hypothesis, task: Task, *, multi: bool
    ) -> np.ndarray:
        """[texts, labels] float64; a row sums to 1, or each label stands for itself where `multi`."""
        ...


class NliScorer:
    """By a model that says whether a text entails another (Yin et al. 2019, arXiv:1909.00161)."""

    def __init__(self, held: Held[Classifier]) -> None:
        self._held = held
        labels = [label.lower() for label in held.model.labels]
        entailing = [index for index, label in enumerate(labels) if label.startswith("entail")]
        if not entailing:
            raise UsageError(
                f"{_TASK} needs a model that was trained on entailment, or one that writes; this one's "
                f"labels are {', '.join(held.model.labels)}. It can do text-classification."
            )
        self._entails = entailing[0]
        named = [index for index, label in enumerate(labels) if label.startswith("contradict")]
        # Where no label is called so, the one that transformers takes.
        self._contradicts = named[0] if named else (len(labels) - 1 if self._entails == 0 else 0)

    @property
    def tokenizer(self) -> Tokenizer:
        return self._held.model.reader.tokenizer

    def scores(
        self, texts: Sequence[str], labels: Sequence[str], hypothesis: Hypothesis, task: Task, *, multi: bool
    ) -> np.ndarray:
        pairs = [(text, hypothesis.of(label)) for text in texts for label in labels]
        logits = self._held.model.logits(pairs).reshape(len(texts), len(labels), -1)
        task.advance(len(texts))
        if multi or len(labels) == 1:
            return softmax(logits[..., [self._contradicts, self._entails]])[..., 1]
        return softmax(logits[..., self._entails])


class LikelihoodScorer:
    """By how likely a model that writes finds each label."""

    def __init__(self, held: Held[Writer]) -> None:
        self._held = held

    @property
    def tokenizer(self) -> Tokenizer:
        return self._held.model.tokenizer

    def scores(
        self, texts: Sequence[str], labels: Sequence[str], hypothesis: Hypothesis, task: Task, *, multi: bool
    ) -> np.ndarray:
        if multi:
            raise UsageError(
                "multi_label=True needs a model that was trained on entailment; this one writes, and shares "
                "its belief among the labels."
            )
        return softmax(label_logprobs(self._held.model, texts, labels, hypothesis, task))


class ZeroShotJob:
    def __init__(self, scorer: LabelScorer) -> None:
        self._scorer = scorer

    def inputs(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        if len(positional) == 2 and "candidate_labels" not in named:
            named = {**named, "candidate_labels": positional[1]}
            positional = positional[:1]
        return one_input(_TASK, ("sequences", "inputs"), positional, named)

    def call(self, arguments: Mapping[str, Any], named: Collection[str] = ()) -> "ZeroShotCall":
        check_names(_TASK, arguments, _KNOWN)
        labels = arguments.get("candidate_labels")
        return ZeroShotCall(
            self._scorer,
            None if labels is None else read_labels(labels),
            Hypothesis.read(arguments.get("hypothesis_template", DEFAULT_TEMPLATE)),
            flag("multi_label", arguments.get("multi_label", False)),
            input_limit(arguments),
        )


@dataclass(frozen=True)
class ZeroShotCall:
    scorer: LabelScorer
    labels: list[str] | None
    hypothesis: Hypothesis
    is_multi: bool
    limit: InputLimit

    def check(self, inputs: object) -> str:
        return checked_text(_TASK, inputs)

    def answers(self, inputs: Sequence[str], task: Task) -> list[dict[str, Any]]:
        if self.labels is None:
            raise UsageError(f"{_TASK} needs candidate_labels=['sports', 'politics'], in the call or before.")
        cut = self.limit.cut(inputs, self.scorer.tokenizer)
        scores = self.scorer.scores(cut, self.labels, self.hypothesis, task, multi=self.is_multi)
        return [self._answer(text, row) for text, row in zip(inputs, scores, strict=True)]

    def alone(self, inputs: object, answer: dict[str, Any]) -> dict[str, Any]:
        return answer

    def together(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return answers

    def stream(self, inputs: str) -> Iterator[str]:
        return no_stream(_TASK)

    def _answer(self, text: str, scores: np.ndarray) -> dict[str, Any]:
        assert self.labels is not None
        order = np.argsort(-scores, kind="stable")
        return {
            "sequence": text,
            "labels": [self.labels[index] for index in order],
            "scores": [float(scores[index]) for index in order],
        }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    shares: np.ndarray = shifted / shifted.sum(-1, keepdims=True)
    return shares
