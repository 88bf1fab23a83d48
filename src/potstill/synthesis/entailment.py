"""A critic that asks a model of natural language inference whether the target follows from the source.

Any encoder with a head that sorts pairs into entailment, neutral and contradiction will do (Bowman et al.
2015, arXiv:1508.05326; Williams et al. 2018, arXiv:1704.05426). It answers about what is said, whatever the
words, where the information critics measure how far one text leads to the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from potstill.errors import UsageError
from potstill.lm.classification import Classifier, load_text_classifier
from potstill.models.load_encoder import read_encoder_config
from potstill.types import DtypeName, TextPair

_ENTAILED = ("entailment", "entailed", "entails")


@dataclass(frozen=True)
class Entailment:
    """The probability that the source entails the target, in [0, 1].

    `label` is the column of `classifier` that says so.
    """

    classifier: Classifier
    label: int
    name: str = "entailment"

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        asked = [(pair.source, pair.target_text) for pair in pairs]
        probs: np.ndarray = self.classifier.probabilities(asked)[:, self.label]
        return probs


def load_entailment(
    path: Path, *, dtype: DtypeName = "fp32", device: torch.device | str = "cpu"
) -> Entailment:
    """From a folder in Hugging Face layout; a pair longer than the model reads is cut, the longer text first.

    UsageError where none of its labels, or more than one, is called entailment.
    """
    classifier = load_text_classifier(path, dtype=dtype, device=device, truncates=True)
    return Entailment(classifier, entailment_label(classifier.labels, str(path)))


def require_entailment(path: Path) -> None:
    """UsageError, before any weights are read, unless a label of the model is called entailment."""
    entailment_label(read_encoder_config(path).labels, str(path))


def entailment_label(labels: Sequence[str], where: str) -> int:
    """The column of `labels` that means entailment, whatever its case."""
    found = [index for index, label in enumerate(labels) if label.lower() in _ENTAILED]
    if len(found) != 1:
        raise UsageError(
            f"{where} sorts texts into {', '.join(labels)}; a critic of entailment needs one label of that "
            f"name. Name a model trained on natural language inference, and see its id2label in config.json."
        )
    return found[0]
