"""The last states of a decoder, as vectors of a text's tokens."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from potstill.devices import default_device
from potstill.errors import UsageError
from potstill.lm.load import load_runner
from potstill.models.runner import DecoderRunner
from potstill.pipelines.place import Place
from potstill.progress import Task
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer


class DecoderStates:
    """With the model's own BOS before each text, and the norm before its head applied."""

    def __init__(self, runner: DecoderRunner, tokenizer: Tokenizer) -> None:
        self.runner, self.tokenizer = runner, tokenizer

    @torch.inference_mode()
    def token_vectors(self, texts: Sequence[str], *, task: Task | None = None) -> list[np.ndarray]:
        """[T, E] float32 a text; UsageError for one without tokens or longer than the model's context."""
        vectors = []
        for ids in self._token_ids(texts):
            token_ids = torch.tensor(ids, device=self.runner.device)
            vectors.append(self.runner.hidden_of_whole(token_ids, [len(ids)]).float().cpu().numpy())
            if task is not None:
                task.advance()
        return vectors

    def embed(self, texts: Sequence[str], *, task: Task | None = None) -> np.ndarray:
        """The mean over a text's tokens: [texts, E] float32."""
        vectors = [states.mean(0) for states in self.token_vectors(texts, task=task)]
        return np.stack(vectors) if vectors else np.empty((0, self.runner.config.hidden_size), np.float32)

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        bos = [] if self.tokenizer.bos_id is None else [self.tokenizer.bos_id]
        wholes = [bos + ids for ids in self.tokenizer.encode_batch(list(texts))]
        most = self.runner.config.max_positions
        for index, ids in enumerate(wholes):
            if not ids:
                raise UsageError(f"Text {index} has no tokens.")
            if len(ids) > most:
                raise UsageError(
                    f"Text {index} has {len(ids):,} tokens; this model reads {most:,}. Shorten it, or say "
                    f"how many may be read: max_input_tokens."
                )
        return wholes


def load_decoder_states(path: Path, place: Place) -> DecoderStates:
    device = default_device(place.device)
    return DecoderStates(load_runner(path, place.dtype, device, place.compile_cache), load_tokenizer(path))
