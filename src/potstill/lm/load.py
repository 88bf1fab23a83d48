"""A model on the disk as a language model with its tokenizer."""

from pathlib import Path
from typing import Literal, Protocol

import torch

from potstill.errors import UsageError
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.models.load import load_decoder
from potstill.models.load_t5 import load_t5
from potstill.models.registry import architecture_of
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer

DtypeName = Literal["auto", "bf16", "fp32"]


class CacheParams(Protocol):
    """What a KV cache's size depends on; `potstill.engine.params.EngineParams` has it."""

    @property
    def block_size(self) -> int: ...

    @property
    def kv_bytes(self) -> int: ...


def load_lm(
    path: Path, *, dtype: DtypeName = "auto", device: torch.device | str = "cpu", params: CacheParams
) -> tuple[NeuralDecoder | EncoderDecoder, Tokenizer]:
    """The model in a folder in Hugging Face layout or in a GGUF file; `auto` is the faster dtype here.

    UsageError for an encoder, which writes nothing.
    """
    architecture = architecture_of(path)
    if architecture == "encoder":
        raise UsageError(f"{path} is an encoder, which reads texts and writes none. Name a decoder or a T5.")
    tokenizer = load_tokenizer(path)
    if architecture == "encoder_decoder":
        t5 = load_t5(path, dtype=torch_dtype(dtype, device), device=device)
        return EncoderDecoder(t5, kv_bytes=params.kv_bytes, block_size=params.block_size), tokenizer
    decoder = load_decoder(path, dtype=torch_dtype(dtype, device), device=device)
    model = NeuralDecoder(
        decoder, bos_id=tokenizer.bos_id, kv_bytes=params.kv_bytes, block_size=params.block_size
    )
    return model, tokenizer


def torch_dtype(dtype: DtypeName, device: torch.device | str) -> torch.dtype:
    if dtype == "auto":
        from potstill.devices import bf16_is_faster

        is_cpu = torch.device(device).type == "cpu"
        return torch.bfloat16 if not is_cpu or bf16_is_faster() else torch.float32
    return torch.bfloat16 if dtype == "bf16" else torch.float32
