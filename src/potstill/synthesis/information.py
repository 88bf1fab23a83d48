"""Critics that ask the teacher how much one text tells about another.

Pointwise mutual information under a language model, a token: how much likelier a text becomes, in nats a
token, once the other has been read.

    faithfulness(x, y) = (log p(y | x) - log p(y)) / |y|     does the source lead one to expect the target?
    saliency(x, y)     = (log p(x | y) - log p(x)) / |x|     does the target give away the source?
    equivalence(x, y)  = the smaller of both                 do both say the same?

The idea of three information critics is InfoSumm's (arXiv:2403.13780), whose third, brevity, is a bound on
|y| / |x|; the estimate by the teacher itself, left to right, and every threshold are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from potstill.types import TextPair

# Summed log-probabilities (nats) of the targets of (prompt ids, target ids).
ScoreTargets = Callable[[Sequence[tuple[Sequence[int], Sequence[int]]]], Sequence[float]]


class _Question(NamedTuple):
    given: str
    text: str


@dataclass
class Information:
    """Asks a language model, and remembers what it answered: critics share one.

    encode  text -> token ids, without special tokens
    score   summed log-probabilities of targets after prompts
    """

    encode: Callable[[str], list[int]]
    score: ScoreTargets
    _known: dict[_Question, float] = field(default_factory=dict)

    def gain(self, pairs: Sequence[TextPair]) -> np.ndarray:
        """(log p(target | source) - log p(target)) / |target|, in nats a token, [num_pairs]."""
        given = self._logprobs([_Question(pair.source, pair.target_text) for pair in pairs])
        alone = self._logprobs([_Question("", pair.target_text) for pair in pairs])
        lengths = np.array([max(1, self.length(pair.target_text)) for pair in pairs], dtype=np.float64)
        gain: np.ndarray = (given - alone) / lengths
        return gain

    def ending(self, texts: Sequence[str]) -> np.ndarray:
        """log p(the closing mark or a line break | all before the mark), in nats, [num_texts].

        A headline ends without a mark, so the end of the line counts as its end too.
        """
        bodies = [(self.encode(f"\n{text.strip()[:-1]}"), text.strip()[-1:]) for text in texts]
        marks = self.score([(body, self.encode(mark)) for body, mark in bodies])
        breaks = self.score([(body, self.encode("\n")) for body, _ in bodies])
        return np.logaddexp(np.array(marks, dtype=np.float64), np.array(breaks, dtype=np.float64))

    def length(self, text: str) -> int:
        return len(self.encode(text))

    def _logprobs(self, questions: Sequence[_Question]) -> np.ndarray:
        unknown = list(dict.fromkeys(question for question in questions if question not in self._known))
        if unknown:
            requests = [(self.encode(f"{given}\n"), self.encode(text)) for given, text in unknown]
            self._known.update(zip(unknown, self.score(requests), strict=True))
        return np.array([self._known[question] for question in questions], dtype=np.float64)


@dataclass(frozen=True)
class Faithfulness:
    information: Information
    name: str = "faithfulness"

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        return self.information.gain(pairs)


@dataclass(frozen=True)
class Saliency:
    information: Information
    name: str = "saliency"

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        return self.information.gain(_turned(pairs))


@dataclass(frozen=True)
class Brevity:
    """Tokens of the target over tokens of the source."""

    information: Information
    name: str = "brevity"

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        return np.array(
            [
                self.information.length(pair.target_text) / max(1, self.information.length(pair.source))
                for pair in pairs
            ]
        )


@dataclass(frozen=True)
class Equivalence:
    information: Information
    name: str = "equivalence"

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        lesser: np.ndarray = np.minimum(self.information.gain(pairs), self.information.gain(_turned(pairs)))
        return lesser


@dataclass(frozen=True)
class Completeness:
    """How readily the model ends the target where it ends: low for a sentence cut short.

    Not used to select pairs, so that it can judge what comes of them.
    """

    information: Information
    name: str = "completeness"

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        return self.information.ending([pair.target_text for pair in pairs])


def _turned(pairs: Sequence[TextPair]) -> list[TextPair]:
    return [TextPair(pair.target_text, pair.source) for pair in pairs]
