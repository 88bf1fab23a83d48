"""One vector a text, from an encoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from potstill.errors import DamagedError
from potstill.lm.encoder_batches import EncoderReader
from potstill.lm.load import DtypeName, torch_dtype
from potstill.models.encoder import Encoder
from potstill.models.load_encoder import load_encoder
from potstill.models.pooling import Pooling, read_pooling
from potstill.progress import Task
from potstill.tokenization.load import load_tokenizer


class Embedder:
    """Texts to vectors of `size` numbers; near vectors for texts that mean alike, if so trained."""

    def __init__(self, encoder: Encoder, reader: EncoderReader, pooling: Pooling) -> None:
        self._encoder, self.reader, self.pooling = encoder, reader, pooling

    @property
    def size(self) -> int:
        return self._encoder.config.hidden_size

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], *, task: Task | None = None) -> np.ndarray:
        """[n, E] float32 in the order of `texts`; `task` advances by texts.

        UsageError for a text that is too long, unless the reader truncates; DamagedError for a model whose
        vectors are no numbers.
        """
        vectors = np.empty((len(texts), self.size), dtype=np.float32)
        for batch in self.reader.batches(texts):
            states = self._encoder(batch.token_ids, batch.type_ids, batch.attention)  # [N, E]
            pooled = pool(states.float(), batch.lengths, self.pooling)  # [B, E]
            vectors[list(batch.indices)] = pooled.cpu().numpy()
            if task is not None:
                task.advance(len(batch.indices))
        if not np.isfinite(vectors).all():
            raise DamagedError("The model gives vectors that are no numbers, so its weights are damaged.")
        return vectors


def load_embedder(
    path: Path,
    *,
    dtype: DtypeName = "fp32",
    device: torch.device | str = "cpu",
    truncates: bool = False,
) -> Embedder:
    """The encoder in a folder in Hugging Face layout, pooled as the folder says, or else by the mean.

    truncates: whether texts longer than the model reads are cut; otherwise they are refused.
    """
    encoder = load_encoder(path, dtype=torch_dtype(dtype, device), device=device)
    pooling = read_pooling(path)
    reader = EncoderReader(
        load_tokenizer(path),
        encoder.config,
        max_tokens=pooling.max_tokens,
        truncates=truncates,
        device=device,
    )
    return Embedder(encoder, reader, pooling)


def pool(states: Tensor, lengths: Sequence[int], pooling: Pooling) -> Tensor:
    """States [N, E] of B texts in a row to vectors [B, E]."""
    if pooling.mode == "cls":
        firsts = np.cumsum([0, *lengths[:-1]])
        pooled = states[torch.from_numpy(firsts).to(states.device)]
    else:
        pooled = torch.stack([text.mean(0) for text in torch.split(states, list(lengths))])
    return torch.nn.functional.normalize(pooled, dim=-1) if pooling.is_normalised else pooled
