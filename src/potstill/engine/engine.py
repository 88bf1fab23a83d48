"""Continuous batching: each step draws one token for every running sequence and lets waiting ones in."""

from collections.abc import Sequence as Many
from itertools import count
from time import perf_counter

import torch

from potstill.engine import sampling
from potstill.engine.block_manager import BlockManager
from potstill.engine.params import EngineParams
from potstill.engine.scheduler import Scheduler
from potstill.engine.sequence import NeverStop, Sequence, StopRule
from potstill.engine.stats import EngineStats
from potstill.errors import UsageError
from potstill.lm.protocol import BatchedDecoder, StepRow
from potstill.types import SamplingParams


class Engine:
    """Writes texts with any `BatchedDecoder`, which it has to itself. Tokens in, tokens out.

    `eos_ids` end a text wherever they are drawn.
    """

    def __init__(self, decoder: BatchedDecoder, params: EngineParams, eos_ids: Many[int] = ()) -> None:
        self.decoder, self.params = decoder, params
        self.stats = EngineStats(kv_bytes=decoder.cache_bytes)
        self._eos_ids = frozenset(eos_ids)
        self._blocks = BlockManager(decoder.num_blocks, decoder.block_size)
        self._scheduler = Scheduler(params, self._blocks)
        self._new_id = count()

    @property
    def has_work(self) -> bool:
        return self._scheduler.num_waiting + self._scheduler.num_running > 0

    @property
    def num_waiting(self) -> int:
        return self._scheduler.num_waiting

    def add(self, prompt_ids: Many[int], params: SamplingParams, stop: StopRule | None = None) -> Sequence:
        """Queue a prompt; UsageError where it could never run to its end."""
        self.check_fits(len(prompt_ids), params)
        sequence = Sequence(
            sequence_id=next(self._new_id),
            prompt_ids=tuple(prompt_ids),
            sampling=params,
            num_prepended=self.decoder.num_prepended,
            stop=stop or NeverStop(),
        )
        self._scheduler.add(sequence)
        return sequence

    def fits(self, num_prompt_tokens: int, params: SamplingParams) -> bool:
        return self._why_not(num_prompt_tokens, params) is None

    def check_fits(self, num_prompt_tokens: int, params: SamplingParams) -> None:
        """UsageError with the numbers if a prompt of this length could never run to its end."""
        if (reason := self._why_not(num_prompt_tokens, params)) is not None:
            raise UsageError(reason)

    def step(self) -> list[Sequence]:
        """Run every scheduled sequence once; the finished ones are handed over and gone from the engine."""
        started = perf_counter()
        rows = self._scheduler.schedule()
        if not rows:
            return []
        try:
            with torch.inference_mode():
                self._count(rows)
                logits = self._run_model(rows)
                self._draw(rows, logits)
        except BaseException:
            # Blocks that this step promised to fill may be half full.
            self.abort_all()
            raise
        finished = [sequence for sequence in rows if sequence.is_finished]
        self._scheduler.retire(finished)
        self.stats.total_s += perf_counter() - started
        return finished

    def abort_all(self) -> None:
        """Give up every sequence, waiting or running."""
        self._scheduler.drop_all()

    def forget_cache(self) -> None:
        """Share nothing with earlier prompts, as after a change of the model's weights."""
        self._blocks.forget()

    def _why_not(self, num_prompt_tokens: int, params: SamplingParams) -> str | None:
        first = self.decoder.num_prepended + num_prompt_tokens
        if first == 0:
            return "The prompt is empty and this model has no BOS to begin with: give it a first word."
        needed = first + params.max_tokens - 1
        asked = (
            f"A prompt of {num_prompt_tokens:,} tokens and max_tokens {params.max_tokens:,} "
            f"need {needed:,} positions"
        )
        if needed > self.decoder.max_positions:
            return f"{asked}; the model's context has {self.decoder.max_positions:,}. Shorten one of them."
        in_cache = self.decoder.num_blocks * self.decoder.block_size
        if needed > in_cache:
            return f"{asked}; the KV cache holds {in_cache:,}. Shorten one of them, or raise kv_bytes."
        return None

    def _run_model(self, rows: Many[Sequence]) -> torch.Tensor:
        started = perf_counter()
        logits = self.decoder.step(
            [StepRow(row.context, row.num_cached, row.num_new, row.block_table) for row in rows]
        )  # [B, V]
        self.stats.model_s += perf_counter() - started
        return logits

    def _draw(self, rows: Many[Sequence], logits: torch.Tensor) -> None:
        started = perf_counter()
        drawn = sampling.draw_rows(rows, logits)
        for row, token_id, logprob in zip(
            rows, drawn.token_ids.tolist(), drawn.logprobs.tolist(), strict=True
        ):
            row.take(token_id, logprob, is_eos=token_id in self._eos_ids)
        self.stats.sampling_s += perf_counter() - started

    def _count(self, rows: Many[Sequence]) -> None:
        prompts = [row for row in rows if not row.output_ids]
        self.stats.num_steps += 1
        self.stats.num_rows += len(rows)
        self.stats.num_tokens_generated += len(rows)
        self.stats.num_prompt_tokens_run += sum(row.num_new for row in prompts)
        self.stats.num_prompt_tokens_shared += sum(row.num_cached for row in prompts)
