"""How fast a model reads prompts and writes on this machine, beside what the machine's peaks would allow.

The engine itself is measured, on prompts of random tokens whose texts never end by themselves. What is not
measured here: shared prompts, and speed over long contexts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.engine.stats import EngineStats, Speed
from potstill.errors import UsageError
from potstill.lm.cost import ModelCost, cost_of
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.peaks import MachinePeaks
from potstill.progress import Progress, Silent
from potstill.seeds import random_generator
from potstill.types import SamplingParams

BUDGET_S = 3.0
_STREAMS = (1, 8)
_PROMPT_TOKENS, _OUTPUT_TOKENS, _PREFILL_TOKENS = 16, 128, 512
_LEAST_STEPS = 4
# A token of a prompt, one that is drawn where the prompt is read, and one more in a step that is measured.
_LEAST_ROOM = 3


class Rate(NamedTuple):
    """`num_streams` texts at once; their tokens a second together, and the machine's share in it."""

    num_streams: int
    tokens_per_s: float
    speed: Speed


@dataclass(frozen=True, slots=True)
class ModelBench:
    """decode: tokens written after a prompt; prefill: tokens of a prompt read, `num_streams` is 1 there."""

    cost: ModelCost
    decode: tuple[Rate, ...]
    prefill: Rate


@dataclass(frozen=True, slots=True)
class Bench:
    """A model, the type its products are made in (`kind`, a key of the peaks' FLOP/s) and the peaks."""

    model: NeuralDecoder | EncoderDecoder
    kind: str
    peaks: MachinePeaks
    budget_s: float = BUDGET_S

    def run(self, progress: Progress | None = None) -> ModelBench:
        """Each figure takes about `budget_s` seconds, or a few steps where those take longer."""
        if self.model.max_positions < _PROMPT_TOKENS:
            raise UsageError(f"The model has {self.model.max_positions} positions, too few to measure.")
        if self._room() < _LEAST_ROOM:
            raise UsageError(
                f"The KV cache has room for {max(self._room(), 0)} tokens in each of {max(_STREAMS)} texts, "
                f"too few to measure. Raise kv_bytes."
            )
        decode: list[Rate] = []
        with (progress or Silent()).task("measuring", len(_STREAMS) + 1, "rates") as task:
            for num_streams in _STREAMS:
                decode.append(self._decode(num_streams))
                task.advance()
            prefill = self._prefill()
            task.advance()
        return ModelBench(self.cost, tuple(decode), prefill)

    @property
    def cost(self) -> ModelCost:
        runner = self.model.runner
        return cost_of(
            runner.config, weight_bytes=runner.weight_bytes, bytes_per_kv_value=runner.cache_dtype.itemsize
        )

    def _decode(self, num_streams: int) -> Rate:
        room = self._room()
        num_prompt = min(_PROMPT_TOKENS, room // 2)
        params = SamplingParams(temperature=0, max_tokens=min(_OUTPUT_TOKENS, room - num_prompt))
        stats, end = EngineStats(), perf_counter() + self.budget_s
        while stats.num_steps < _LEAST_STEPS or perf_counter() < end:
            engine = self._engine(num_streams)
            for prompt in self._prompts(num_streams, num_prompt):
                engine.add(prompt, params)
            engine.step()  # reads the prompts, which is another figure
            stats.add(engine.stats, -1)
            while engine.has_work and (engine.stats.num_steps <= _LEAST_STEPS or perf_counter() < end):
                engine.step()
            stats.add(engine.stats)
        return self._rate(num_streams, stats, stats.num_tokens_generated)

    def _prefill(self) -> Rate:
        num_tokens = min(_PREFILL_TOKENS, self._room())
        (prompt,) = self._prompts(1, num_tokens)
        self._read(prompt, EngineStats())  # into cold memory
        stats, end = EngineStats(), perf_counter() + self.budget_s
        while not stats.num_steps or perf_counter() < end:
            self._read(prompt, stats)
        return self._rate(1, stats, stats.num_positions_encoded or stats.num_positions_run)

    def _read(self, prompt: list[int], stats: EngineStats) -> None:
        engine = self._engine(1)
        engine.add(prompt, SamplingParams(temperature=0, max_tokens=1))
        while engine.has_work:
            engine.step()
        stats.add(engine.stats)

    def _room(self) -> int:
        in_cache = self.model.num_blocks * self.model.block_size // max(_STREAMS)
        return min(self.model.max_positions, in_cache) - self.model.num_prepended

    def _engine(self, num_streams: int) -> Engine:
        """One that shares nothing with those before it and knows no end of a text."""
        return Engine(self.model, EngineParams(max_batch=num_streams))

    def _prompts(self, count: int, num_tokens: int) -> Iterable[list[int]]:
        random = random_generator(0, "benchmark")
        for _ in range(count):
            yield random.integers(self.model.vocab_size, size=num_tokens).tolist()

    def _rate(self, num_streams: int, stats: EngineStats, num_tokens: int) -> Rate:
        speed = stats.speed(
            self.cost,
            peak_bytes_per_s=self.peaks.read_bytes_per_s,
            peak_flops_per_s=self.peaks.flops_per_s[self.kind],
        )
        return Rate(num_streams, num_tokens / max(stats.total_s, 1e-9), speed)


def estimate_s(weight_bytes: int, *, read_bytes_per_s: float = 5e9, budget_s: float = BUDGET_S) -> float:
    """About how long a bench takes, loading included, told before anything is measured.

    Pessimistic about the disk and the products: a model is read from the disk at 300 MB/s, and a prompt
    takes as long as a hundred steps.
    """
    step_s = weight_bytes / read_bytes_per_s
    return weight_bytes / 3e8 + sum(max(budget_s, count * step_s) for count in (5, 5, 100))
