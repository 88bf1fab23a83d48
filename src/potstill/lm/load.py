"""A model on the disk as a language model with its tokenizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from potstill.devices import release_memory
from potstill.errors import UsageError
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.models.compile_cache import compile_cache_folder, kept_or_packed
from potstill.models.load import decoder_shapes, load_decoder
from potstill.models.load_t5 import load_t5, t5_shapes
from potstill.models.native_decoder import NativeRunner
from potstill.models.native_t5 import NativeT5Runner
from potstill.models.program_weights import ProgramWeights, WeightKind
from potstill.models.registry import architecture_of
from potstill.models.runner import DecoderRunner, TorchRunner
from potstill.models.t5_runner import EncoderDecoderRunner, TorchT5Runner
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import DtypeName

Module = TypeVar("Module")
Loaded = TypeVar("Loaded", covariant=True)
Runner = TypeVar("Runner")


class ModuleLoader(Protocol[Loaded]):
    """Makes a model's modules of its files, filled or as shapes alone."""

    def __call__(self, path: Path, /, *, dtype: torch.dtype) -> Loaded: ...


class CacheParams(Protocol):
    """What a KV cache's size depends on; `potstill.engine.params.EngineParams` has it."""

    @property
    def block_size(self) -> int: ...

    @property
    def kv_bytes(self) -> int: ...


def load_lm(
    path: Path,
    *,
    dtype: DtypeName = "auto",
    device: torch.device | str = "cpu",
    params: CacheParams,
    compile_cache: Path | None = None,
) -> tuple[NeuralDecoder | EncoderDecoder, Tokenizer]:
    """The model in a folder in Hugging Face layout or in a GGUF file.

    `auto` is the faster of bf16 and fp32 here. On a CPU a model is packed for the native runner, so there
    are no modules to train. The packed weights are kept for the next start in the folder `compile_cache`, or
    else in the one that POTSTILL_COMPILE_CACHE names. UsageError for an encoder, which writes nothing, and
    for int8 on another device.
    """
    architecture = architecture_of(path)
    if architecture == "encoder":
        raise UsageError(f"{path} is an encoder, which reads texts and writes none. Name a decoder or a T5.")
    tokenizer = load_tokenizer(path)
    # What a vocabulary of a quarter of a million was read through takes as much memory as a small model.
    release_memory(collects=False)
    if architecture == "encoder_decoder":
        t5_runner = load_t5_runner(path, dtype, device, compile_cache)
        return EncoderDecoder(t5_runner, kv_bytes=params.kv_bytes, block_size=params.block_size), tokenizer
    model = NeuralDecoder(
        load_runner(path, dtype, device, compile_cache),
        bos_id=tokenizer.bos_id,
        kv_bytes=params.kv_bytes,
        block_size=params.block_size,
    )
    return model, tokenizer


def load_runner(
    path: Path, dtype: DtypeName, device: torch.device | str, compile_cache: Path | None = None
) -> DecoderRunner:
    """A decoder's weights in the runner for the device."""
    if torch.device(device).type != "cpu":
        return TorchRunner(load_decoder(path, dtype=torch_dtype(dtype, device), device=device))
    return native_runner(path, dtype, compile_cache, load_decoder, decoder_shapes, NativeRunner.of)


def load_t5_runner(
    path: Path, dtype: DtypeName, device: torch.device | str, compile_cache: Path | None = None
) -> EncoderDecoderRunner:
    """A T5's weights in the runner for the device."""
    if torch.device(device).type != "cpu":
        return TorchT5Runner(load_t5(path, dtype=torch_dtype(dtype, device), device=device))
    return native_runner(path, dtype, compile_cache, load_t5, t5_shapes, NativeT5Runner.of)


def native_runner(
    path: Path,
    dtype: DtypeName,
    compile_cache: Path | None,
    load: ModuleLoader[Module],
    shapes: ModuleLoader[Module],
    pack: Callable[[Module, WeightKind, ProgramWeights], Runner],
) -> Runner:
    """A model of any kind packed for the CPU, or its kept weights mapped: then `shapes` does for `load`."""
    loaded = torch_dtype(dtype, "cpu")
    kind = program_kind(dtype, loaded)

    def build(weights: ProgramWeights) -> Runner:
        module = (load if weights.needs_values else shapes)(path, dtype=loaded)
        return pack(module, kind, weights)

    return kept_or_packed(compile_cache_folder(compile_cache), path, kind, build)


def program_kind(dtype: DtypeName, loaded: torch.dtype) -> WeightKind:
    """How a program packs weights that were loaded in `loaded`."""
    return "int8" if dtype == "int8" else weight_kind(loaded)


def weight_kind(dtype: torch.dtype) -> WeightKind:
    return "bf16" if dtype == torch.bfloat16 else "fp32"


def torch_dtype(dtype: DtypeName, device: torch.device | str) -> torch.dtype:
    """The type that weights are loaded in; those for int8 are packed from bfloat16."""
    is_cpu = torch.device(device).type == "cpu"
    if dtype == "int8" and not is_cpu:
        raise UsageError(f"int8 weights are run on a CPU only, not on {device}. Take bf16 there.")
    if dtype == "auto":
        from potstill.devices import bf16_is_faster

        return torch.bfloat16 if not is_cpu or bf16_is_faster() else torch.float32
    return torch.float32 if dtype == "fp32" else torch.bfloat16
