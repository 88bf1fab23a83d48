"""What makes decoding fast: each technique alone on the plainest form, then one after the other.

The plainest form runs the whole text again for every token, one text at a time, with torch in float32. Work:
eight prompts of random ids, all equally long, so that a batch wastes nothing.
"""

import random
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from decode_attention import milliseconds

from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.lm.context import Context
from potstill.lm.decoder import NeuralDecoder
from potstill.models.load import load_decoder
from potstill.models.native_decoder import NativeRunner
from potstill.types import SamplingParams

NUM_TEXTS, PROMPT_TOKENS = 8, 32
KV_BYTES = 256 << 20
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}


@dataclass(frozen=True)
class Way:
    is_cached: bool = False
    batch: int = 1
    dtype: str = "fp32"
    is_native: bool = False


ALONE = {
    "plain torch fp32": Way(),
    "KV cache alone": Way(is_cached=True),
    "batch of 8 alone": Way(batch=NUM_TEXTS),
    "bf16 alone": Way(dtype="bf16"),
    "native program alone": Way(is_native=True),
    "int8 (native) alone": Way(is_native=True, dtype="int8"),
}
TOGETHER = {
    "+ KV cache": Way(is_cached=True),
    "+ batch of 8": Way(is_cached=True, batch=NUM_TEXTS),
    "+ bf16": Way(is_cached=True, batch=NUM_TEXTS, dtype="bf16"),
    "+ native program": Way(is_cached=True, batch=NUM_TEXTS, dtype="bf16", is_native=True),
    "+ int8: all together": Way(is_cached=True, batch=NUM_TEXTS, dtype="int8", is_native=True),
}
WAYS = {**ALONE, **TOGETHER}


class Techniques:
    def __init__(self, folder: Path, num_tokens: int) -> None:
        self._folder, self._num_tokens = folder, num_tokens
        rng = random.Random(0)
        self._prompts = [tuple(rng.choices(range(50_000), k=PROMPT_TOKENS)) for _ in range(NUM_TEXTS)]

    def tokens_per_second(self, way: Way) -> float:
        write = self._cached if way.is_cached else self._uncached
        # The plainest forms are slow; a text of theirs takes as long as any other.
        prompts = self._prompts if way.is_cached or way.batch > 1 else self._prompts[:2]
        model = model_of(self._folder, way.dtype, way.is_native)
        started = time.perf_counter()
        num_written = write(model, prompts, way.batch)
        return num_written / (time.perf_counter() - started)

    def _uncached(self, model: NeuralDecoder, prompts: Any, batch: int) -> int:
        for start in range(0, len(prompts), batch):
            contexts = [Context(prompt) for prompt in prompts[start : start + batch]]
            for _ in range(self._num_tokens):
                likeliest = model.next_logprobs(contexts).argmax(-1).tolist()
                contexts = [
                    Context(one.prompt_ids, (*one.output_ids, token_id))
                    for one, token_id in zip(contexts, likeliest, strict=True)
                ]
        return len(prompts) * self._num_tokens

    def _cached(self, model: NeuralDecoder, prompts: Any, batch: int) -> int:
        engine = Engine(model, EngineParams(max_batch=batch, kv_bytes=KV_BYTES), eos_ids=())
        for prompt in prompts:
            engine.add(prompt, SamplingParams(temperature=0, max_tokens=self._num_tokens))
        while engine.has_work:
            engine.step()
        return len(prompts) * self._num_tokens


@cache
def model_of(folder: Path, dtype: str, is_native: bool) -> NeuralDecoder:
    decoder = load_decoder(folder, dtype=DTYPES[dtype])
    kind: Any = dtype
    runner = NativeRunner.of(decoder, kind) if is_native else decoder
    return NeuralDecoder(runner, bos_id=None, kv_bytes=KV_BYTES)


def measure_step(folder: Path, dtype: str, is_native: bool, batch: int, repeats: int) -> dict[str, float]:
    """Milliseconds for the next token of `batch` sequences of 20: over all of them, and of a cached step."""
    model = model_of(folder, dtype, is_native)
    rng = random.Random(batch)
    prompts = [tuple(rng.choices(range(50_000), k=20)) for _ in range(batch)]
    whole = [Context(prompt) for prompt in prompts]
    return {
        "whole_ms": milliseconds(lambda: model.next_logprobs(whole), repeats),
        "cached_ms": _cached_step_ms(model, prompts, repeats),
    }


def _cached_step_ms(model: NeuralDecoder, prompts: list[tuple[int, ...]], repeats: int) -> float:
    engine = Engine(model, EngineParams(max_batch=len(prompts), kv_bytes=KV_BYTES), eos_ids=())
    for prompt in prompts:
        engine.add(prompt, SamplingParams(temperature=0, max_tokens=repeats + 2))
    engine.step()
    return milliseconds(engine.step, repeats)
