"""feature-extraction: the vectors of a text's tokens, or one of the whole text."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from potstill.lm.embedding import Embedder
from potstill.pipelines.arguments import check_names, flag
from potstill.pipelines.decoder_states import DecoderStates
from potstill.pipelines.held import Held
from potstill.pipelines.input_limit import InputLimit, input_limit
from potstill.pipelines.job import checked_text, no_stream, one_input
from potstill.progress import Task
from potstill.tokenization.tokenizer import Tokenizer

_TASK = "feature-extraction"
_KNOWN = ("pooled", "return_tensors", "max_input_tokens")


class TextVectors(Protocol):
    """A model that makes vectors: an `Embedder`, or a decoder's states."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    def token_vectors(self, texts: Sequence[str], *, task: Task | None = None) -> list[np.ndarray]:
        """[T, E] float32 a text."""
        ...

    def embed(self, texts: Sequence[str], *, task: Task | None = None) -> np.ndarray:
        """[texts, E] float32."""
        ...


class FeatureJob:
    def __init__(self, held: Held[Embedder] | Held[DecoderStates]) -> None:
        self._held = held

    def inputs(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return one_input(_TASK, ("inputs",), positional, named)

    def call(self, arguments: Mapping[str, Any], named: Collection[str] = ()) -> "FeatureCall":
        check_names(_TASK, arguments, _KNOWN)
        return FeatureCall(
            self._held,
            flag("pooled", arguments.get("pooled", False)),
            flag("return_tensors", arguments.get("return_tensors", False)),
            input_limit(arguments),
        )


@dataclass(frozen=True)
class FeatureCall:
    held: Held[Embedder] | Held[DecoderStates]
    is_pooled: bool
    returns_tensors: bool
    limit: InputLimit

    def check(self, inputs: object) -> str:
        return checked_text(_TASK, inputs)

    def answers(self, inputs: Sequence[str], task: Task) -> list[Any]:
        """[1, T, E] a text, or [E] where one vector is asked for: nested lists, or tensors."""
        model: TextVectors = self.held.model
        texts = self.limit.cut(inputs, model.tokenizer)
        if self.is_pooled:
            return [self._shown(vector) for vector in model.embed(texts, task=task)]
        return [self._shown(vectors[None]) for vectors in model.token_vectors(texts, task=task)]

    def alone(self, inputs: object, answer: Any) -> Any:
        return answer

    def together(self, answers: list[Any]) -> list[Any]:
        return answers

    def stream(self, inputs: str) -> Iterator[str]:
        return no_stream(_TASK)

    def _shown(self, vectors: np.ndarray) -> Any:
        if not self.returns_tensors:
            return vectors.tolist()
        import torch

        return torch.from_numpy(vectors)
