"""text-classification: which of a model's labels a text has, or which of the caller's."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from potstill.errors import UsageError
from potstill.lm.classification import Classifier
from potstill.lm.encoder_batches import Text
from potstill.pipelines.arguments import check_names, whole_number
from potstill.pipelines.held import Held
from potstill.pipelines.hypothesis import DEFAULT_TEMPLATE, Hypothesis, read_labels
from potstill.pipelines.input_limit import InputLimit, input_limit
from potstill.pipelines.job import checked_text, no_stream, one_input
from potstill.pipelines.zero_shot import LabelScorer, softmax
from potstill.progress import Task

Function = Literal["default", "sigmoid", "softmax", "none"]
_OF_HEADS = ("top_k", "function_to_apply", "max_input_tokens")
_OF_WRITERS = ("top_k", "candidate_labels", "hypothesis_template", "max_input_tokens")


class HeadJob:
    """With the labels that an encoder's head was trained on."""

    def __init__(self, task: str, held: Held[Classifier]) -> None:
        self._task, self._held = task, held

    def inputs(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return _inputs(self._task, positional, named)

    def call(self, arguments: Mapping[str, Any], named: Collection[str] = ()) -> "ClassificationCall":
        check_names(self._task, arguments, _OF_HEADS)
        function = _function(arguments.get("function_to_apply"))
        scores = HeadScores(self._held, function, input_limit(arguments))
        return ClassificationCall(self._task, scores, _top_k(arguments, named))


class WriterJob:
    """With the caller's labels, by how likely the model finds each."""

    def __init__(self, task: str, scorer: LabelScorer) -> None:
        self._task, self._scorer = task, scorer

    def inputs(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return _inputs(self._task, positional, named)

    def call(self, arguments: Mapping[str, Any], named: Collection[str] = ()) -> "ClassificationCall":
        check_names(self._task, arguments, _OF_WRITERS)
        labels = arguments.get("candidate_labels")
        scores = WrittenScores(
            self._scorer,
            [] if labels is None else read_labels(labels),
            Hypothesis.read(arguments.get("hypothesis_template", DEFAULT_TEMPLATE)),
            input_limit(arguments),
        )
        return ClassificationCall(self._task, scores, _top_k(arguments, named))


@dataclass(frozen=True)
class HeadScores:
    held: Held[Classifier]
    function: Function
    limit: InputLimit

    @property
    def labels(self) -> Sequence[str]:
        return self.held.model.labels

    def of(self, texts: Sequence[Text], task: Task) -> np.ndarray:
        """[texts, labels] float64."""
        model = self.held.model
        singles = [one for text in texts for one in ((text,) if isinstance(text, str) else text)]
        cut = iter(self.limit.cut(singles, model.reader.tokenizer))
        asked = [next(cut) if isinstance(text, str) else (next(cut), next(cut)) for text in texts]
        if self.function == "default":
            return model.probabilities(asked, task=task)
        logits = model.logits(asked, task=task)
        if self.function == "none":
            return logits
        if self.function == "sigmoid":
            chances: np.ndarray = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
            return chances
        return softmax(logits)


@dataclass(frozen=True)
class WrittenScores:
    scorer: LabelScorer
    labels: Sequence[str]
    hypothesis: Hypothesis
    limit: InputLimit

    def of(self, texts: Sequence[Text], task: Task) -> np.ndarray:
        """[texts, labels] float64."""
        if not self.labels:
            raise UsageError(
                "This model writes and has no labels of its own: give candidate_labels=['good', 'bad']."
            )
        singles = [text for text in texts if isinstance(text, str)]
        if len(singles) < len(texts):
            raise UsageError("A pair of texts needs an encoder with a head; this model writes.")
        cut = self.limit.cut(singles, self.scorer.tokenizer)
        return self.scorer.scores(cut, self.labels, self.hypothesis, task, multi=False)


@dataclass(frozen=True)
class TopK:
    """count     labels told of; None for all
    is_asked  whether a caller said so, who then gets a list
    is_named  whether that was in the call: where it was before, transformers puts that list into a list
    """

    count: int | None = 1
    is_asked: bool = False
    is_named: bool = False


@dataclass(frozen=True)
class ClassificationCall:
    task: str
    scores: HeadScores | WrittenScores
    top_k: TopK

    def check(self, inputs: object) -> Text:
        """A text, or a pair of them as {"text": ..., "text_pair": ...}."""
        if isinstance(inputs, dict) and "text" in inputs and inputs.keys() <= {"text", "text_pair"}:
            first = checked_text(self.task, inputs["text"])
            second = inputs.get("text_pair")
            return first if second is None else (first, checked_text(self.task, second))
        return checked_text(self.task, inputs)

    def answers(self, inputs: Sequence[Text], task: Task) -> list[Any]:
        return [self._answer(row) for row in self.scores.of(inputs, task)]

    def alone(self, inputs: object, answer: Any) -> Any:
        return [answer] if isinstance(inputs, str) and not self.top_k.is_named else answer

    def together(self, answers: list[Any]) -> list[Any]:
        return answers

    def stream(self, inputs: Text) -> Iterator[str]:
        return no_stream(self.task)

    def _answer(self, scores: np.ndarray) -> Any:
        order = np.argsort(-scores, kind="stable")[: self.top_k.count]
        best = [{"label": self.scores.labels[index], "score": float(scores[index])} for index in order]
        return best if self.top_k.is_asked else best[0]


def _inputs(task: str, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    return one_input(task, ("inputs",), positional, named)


def _top_k(arguments: Mapping[str, Any], named: Collection[str]) -> TopK:
    if "top_k" not in arguments:
        return TopK()
    count = arguments["top_k"]
    return TopK(None if count is None else whole_number("top_k", count), True, "top_k" in named)


def _function(name: object) -> Function:
    known: tuple[Function, ...] = get_args(Function)
    for one in known:
        if one == ("default" if name is None else name):
            return one
    raise UsageError(f"function_to_apply is {name!r}; it must be one of {', '.join(known)}.")
