"""What a token costs against the length of its context, the number of texts, and the size of the model."""

import random
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.lm.load import load_lm
from potstill.types import SamplingParams

CONTEXTS = (128, 256, 512, 1024, 2048, 4096)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SHORT_PROMPT = 64
MAX_POSITIONS = 4224
KV_BYTES = 512 << 20


class Size(NamedTuple):
    name: str
    width: int
    layers: int


# 30, 124 and 355 million weights, embeddings included.
SIZES = (Size("30M", 384, 6), Size("124M", 768, 12), Size("355M", 1024, 24))


class Curves:
    """One model in one type of weights; `model` is loaded once and driven by a new engine for each figure."""

    def __init__(self, folder: Path, dtype: Any) -> None:
        self._decoder, _ = load_lm(folder, dtype=dtype, params=EngineParams(kv_bytes=KV_BYTES))

    @property
    def weight_bytes(self) -> int:
        return self._decoder.runner.weight_bytes

    def at(self, num_texts: int, num_prompt_tokens: int, num_tokens: int) -> dict[str, float]:
        """Milliseconds a step and a token, prompt tokens a second, KV bytes a text."""
        engine = Engine(self._decoder, EngineParams(max_batch=num_texts, kv_bytes=KV_BYTES), eos_ids=())
        rng = random.Random(num_prompt_tokens)
        for _ in range(num_texts):
            prompt = rng.choices(range(50_000), k=num_prompt_tokens)
            engine.add(prompt, SamplingParams(temperature=0, max_tokens=num_tokens))
        started = time.perf_counter()
        while engine.stats.num_tokens_generated < num_texts:
            engine.step()
        prefill_s = time.perf_counter() - started
        steps = []
        while engine.has_work:
            started = time.perf_counter()
            engine.step()
            steps.append(time.perf_counter() - started)
        step_ms = 1e3 * statistics.median(steps)
        return {
            "step_ms": step_ms,
            "token_ms": step_ms / num_texts,
            "tokens_per_s": 1e3 * num_texts / step_ms,
            "prefill_tokens_per_s": num_texts * num_prompt_tokens / prefill_s,
            "kv_bytes_a_text": engine.stats.as_dict()["kv_bytes_peak"] / num_texts,
        }
