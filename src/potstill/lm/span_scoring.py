"""Where in a text an answer begins and ends, by an encoder trained on it (Devlin et al. 2019, 4.2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from potstill.errors import DamagedError, UsageError
from potstill.lm.embedding import load_encoder_runner
from potstill.lm.encoder_batches import EncoderReader
from potstill.models.encoder_runner import EncoderRunner
from potstill.models.safetensors_file import SafetensorsFolder
from potstill.tokenization.load import load_tokenizer
from potstill.types import DtypeName

_WEIGHT, _BIAS = "qa_outputs.weight", "qa_outputs.bias"


class SpanReader:
    """`weight` [2, E] and `bias` [2]: of a state that is an answer's first token, and its last."""

    def __init__(self, runner: EncoderRunner, weight: Tensor, bias: Tensor, reader: EncoderReader) -> None:
        self.runner, self.reader = runner, reader
        self._weight, self._bias = weight, bias

    @torch.inference_mode()
    def logits(self, pairs: Sequence[tuple[str, str]]) -> list[np.ndarray]:
        """[T, 2] float64 for each question with its text: all tokens, special ones included.

        UsageError for a pair that is too long; DamagedError for a model whose logits are no numbers.
        """
        found = [np.empty(0)] * len(pairs)
        for batch in self.reader.batches(pairs):
            states = self.runner.states(batch.token_ids, batch.type_ids, batch.lengths).float()
            logits = (states @ self._weight.T + self._bias).double().cpu()  # [N, 2]
            for index, one in zip(batch.indices, torch.split(logits, list(batch.lengths)), strict=True):
                found[index] = one.numpy()
        if not all(np.isfinite(one).all() for one in found):
            raise DamagedError("The model gives scores that are no numbers: its weights are damaged.")
        return found


def load_span_reader(
    path: Path, *, dtype: DtypeName = "fp32", device: torch.device | str = "cpu", cache: Path | None = None
) -> SpanReader:
    """From a folder in Hugging Face layout; UsageError where it holds no head that finds spans.

    cache: where packed weights are kept, as `compile_cache` of `lm.load.load_lm`.
    """
    source = SafetensorsFolder(path)
    if not {_WEIGHT, _BIAS} <= set(source.names()):
        raise UsageError(f"{path} holds no head that finds answers: there is no tensor {_WEIGHT}.")
    runner = load_encoder_runner(path, dtype, device, cache)
    shapes = (source.shape(_WEIGHT), source.shape(_BIAS))
    if shapes != ((2, runner.config.hidden_size), (2,)):
        raise DamagedError(f"{path}: {_WEIGHT} and {_BIAS} have the shapes {shapes[0]} and {shapes[1]}.")
    weight, bias = (source.read(name).float().to(device) for name in (_WEIGHT, _BIAS))
    return SpanReader(runner, weight, bias, EncoderReader(load_tokenizer(path), runner.config, device=device))
