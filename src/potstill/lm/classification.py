"""Which label a text has, or a pair of texts, by an encoder that was trained on it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from potstill.errors import DamagedError
from potstill.lm.embedding import encoder_runner
from potstill.lm.encoder_batches import EncoderReader, Text
from potstill.lm.load import torch_dtype
from potstill.models.encoder_runner import EncoderRunner
from potstill.models.load_encoder import load_classifier
from potstill.progress import Task
from potstill.tokenization.load import load_tokenizer
from potstill.types import DtypeName


class Classifier:
    """`labels` are the model's own names, in the order of the columns it gives."""

    def __init__(self, runner: EncoderRunner, head: nn.Module, reader: EncoderReader) -> None:
        """`head`: states of first tokens [B, E] to logits [B, labels]."""
        self.runner, self.head, self.reader = runner, head, reader
        self.labels = runner.config.labels

    def probabilities(self, texts: Sequence[Text], *, task: Task | None = None) -> np.ndarray:
        """[n, labels] float64 in the order of `texts`; `task` advances by texts.

        A row sums to 1, but where several labels may hold at once, or there is only one: there each stands
        for itself. Errors are those of `logits`.
        """
        is_alone = self.runner.config.is_multi_label or len(self.labels) == 1
        logits = torch.from_numpy(self.logits(texts, task=task))
        probs: np.ndarray = (logits.sigmoid() if is_alone else logits.softmax(-1)).numpy()
        return probs

    @torch.inference_mode()
    def logits(self, texts: Sequence[Text], *, task: Task | None = None) -> np.ndarray:
        """What the head says before it is made a probability: [n, labels] float64, in the order of `texts`.

        UsageError for a text that is too long, unless the reader truncates; DamagedError for a model whose
        logits are no numbers.
        """
        found = np.empty((len(texts), len(self.labels)))
        for batch in self.reader.batches(texts):
            firsts = self.runner.states(batch.token_ids, batch.type_ids, batch.lengths, batch.firsts)
            found[list(batch.indices)] = self.head(firsts.float()).double().cpu().numpy()  # [B, labels]
            if task is not None:
                task.advance(len(batch.indices))
        if not np.isfinite(found).all():
            raise DamagedError("The model gives scores that are no numbers: its weights are damaged.")
        return found


def load_text_classifier(
    path: Path,
    *,
    dtype: DtypeName = "fp32",
    device: torch.device | str = "cpu",
    truncates: bool = False,
) -> Classifier:
    """From a folder in Hugging Face layout; UsageError where it holds no head that sorts texts.

    truncates: whether texts longer than the model reads are cut; otherwise they are refused.
    """
    model = load_classifier(path, dtype=torch_dtype(dtype, device), device=device)
    reader = EncoderReader(load_tokenizer(path), model.config, truncates=truncates, device=device)
    return Classifier(encoder_runner(model.body, dtype), model.head.float(), reader)
