"""One vector a text, from an encoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from potstill.errors import DamagedError
from potstill.lm.encoder_batches import EncoderBatch, EncoderReader
from potstill.lm.load import native_runner, program_kind, torch_dtype
from potstill.models.encoder import Encoder
from potstill.models.encoder_runner import EncoderRunner, TorchEncoderRunner
from potstill.models.load_encoder import encoder_shapes, load_encoder
from potstill.models.native_encoder import NativeEncoderRunner
from potstill.models.pooling import Pooling, read_pooling
from potstill.progress import Task
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import DtypeName


class Embedder:
    """Texts to vectors of `size` numbers; near vectors for texts that mean alike, if so trained."""

    def __init__(self, runner: EncoderRunner, reader: EncoderReader, pooling: Pooling) -> None:
        self.runner, self.reader, self.pooling = runner, reader, pooling

    @property
    def size(self) -> int:
        return self.runner.config.hidden_size

    @property
    def tokenizer(self) -> Tokenizer:
        return self.reader.tokenizer

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], *, task: Task | None = None) -> np.ndarray:
        """[n, E] float32 in the order of `texts`; `task` advances by texts.

        UsageError for a text that is too long, unless the reader truncates; DamagedError for a model whose
        vectors are no numbers.
        """
        vectors = np.empty((len(texts), self.size), dtype=np.float32)
        for batch in self.reader.batches(texts):
            vectors[list(batch.indices)] = self._pooled(batch).cpu().numpy()
            if task is not None:
                task.advance(len(batch.indices))
        if not np.isfinite(vectors).all():
            raise DamagedError("The model gives vectors that are no numbers, so its weights are damaged.")
        return vectors

    @torch.inference_mode()
    def token_vectors(self, texts: Sequence[str], *, task: Task | None = None) -> list[np.ndarray]:
        """The state of each token, special ones included, unpooled: [T, E] float32 a text, in their order.

        Errors and `task` as for `embed`.
        """
        vectors = [np.empty(0)] * len(texts)
        for batch in self.reader.batches(texts):
            states = self.runner.states(batch.token_ids, batch.type_ids, batch.lengths).float()
            for index, one in zip(batch.indices, torch.split(states, list(batch.lengths)), strict=True):
                vectors[index] = one.cpu().numpy()
            if task is not None:
                task.advance(len(batch.indices))
        if not all(np.isfinite(one).all() for one in vectors):
            raise DamagedError("The model gives vectors that are no numbers, so its weights are damaged.")
        return vectors

    def _pooled(self, batch: EncoderBatch) -> Tensor:
        """[B, E] float32."""
        asked = (batch.token_ids, batch.type_ids, batch.lengths)
        if self.pooling.mode == "cls":
            pooled = self.runner.states(*asked, batch.firsts).float()
        else:
            texts = torch.split(self.runner.states(*asked).float(), list(batch.lengths))
            pooled = torch.stack([text.mean(0) for text in texts])
        return F.normalize(pooled, dim=-1) if self.pooling.is_normalised else pooled


def load_embedder(
    path: Path,
    *,
    dtype: DtypeName = "fp32",
    device: torch.device | str = "cpu",
    truncates: bool = False,
    compile_cache: Path | None = None,
) -> Embedder:
    """The encoder in a folder in Hugging Face layout, pooled as the folder says, or else by the mean.

    truncates: whether texts longer than the model reads are cut; otherwise they are refused.
    compile_cache: where packed weights are kept, as in `lm.load.load_lm`.
    """
    runner = load_encoder_runner(path, dtype, device, compile_cache)
    pooling = read_pooling(path)
    reader = EncoderReader(
        load_tokenizer(path),
        runner.config,
        max_tokens=pooling.max_tokens,
        truncates=truncates,
        device=device,
    )
    return Embedder(runner, reader, pooling)


def load_encoder_runner(
    path: Path, dtype: DtypeName, device: torch.device | str, compile_cache: Path | None = None
) -> EncoderRunner:
    """An encoder's weights in the runner for the device."""
    if torch.device(device).type != "cpu":
        return TorchEncoderRunner(load_encoder(path, dtype=torch_dtype(dtype, device), device=device))
    return native_runner(path, dtype, compile_cache, load_encoder, encoder_shapes, NativeEncoderRunner.of)


def encoder_runner(encoder: Encoder, dtype: DtypeName) -> EncoderRunner:
    """For the device the encoder lies on; on a CPU it is packed, and used up."""
    weights = encoder.embeddings.word_embeddings.weight
    if weights.device.type != "cpu":
        return TorchEncoderRunner(encoder)
    return NativeEncoderRunner.of(encoder, program_kind(dtype, weights.dtype))
