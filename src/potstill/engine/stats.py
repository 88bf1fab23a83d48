"""What an engine has done so far: whole numbers, a handful of additions a row and a step.

Shares and rates are worked out when they are asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from potstill.lm.cost import ModelCost
from potstill.lm.protocol import StepRow


class Speed(NamedTuple):
    """Over all of the engine's time. Shares are of the machine's measured peaks, None where not given."""

    bytes_per_s: float
    flops_per_s: float
    bandwidth_share: float | None = None
    flops_share: float | None = None


@dataclass(slots=True)
class EngineStats:
    """Positions, tokens, rows and blocks are counts, times seconds, memory bytes.

    num_positions_run         run by the model, each in one step; after a preemption again
    num_positions_uncached    what the same texts would have run without a cache: every token anew
    num_positions_read        keys and values read: a row reads its whole text in each step, and its prompt
                              too where an encoder has read that
    num_pairs                 (query, key) positions that looked at each other
    num_positions_encoded     tokens of prompts that an encoder read, `num_pairs_encoded` as above
    num_scored                positions of which logits were asked
    num_tokens_drafted        tokens that a drafter guessed and the model ran, `num_tokens_accepted` of which
                              are in their texts
    num_tokens_forced         tokens that a constraint forced and that were run with the one before them
    num_prompt_tokens_run     positions of prompts that were run
    num_prompt_tokens_shared  positions of prompts found in the cache
    num_blocks_used           in use after the last step, `num_blocks_peak` in any step
    kv_bytes                  the cache's capacity
    """

    max_batch: int = 0
    num_blocks: int = 0
    kv_bytes: int = 0
    num_steps: int = 0
    num_rows: int = 0
    num_tokens_generated: int = 0
    num_positions_run: int = 0
    num_positions_uncached: int = 0
    num_positions_read: int = 0
    num_pairs: int = 0
    num_scored: int = 0
    num_tokens_drafted: int = 0
    num_tokens_accepted: int = 0
    num_tokens_forced: int = 0
    num_positions_encoded: int = 0
    num_pairs_encoded: int = 0
    num_prompt_tokens_run: int = 0
    num_prompt_tokens_shared: int = 0
    num_preemptions: int = 0
    num_cancellations: int = 0
    num_blocks_used: int = 0
    num_blocks_peak: int = 0
    model_s: float = 0.0
    sampling_s: float = 0.0
    draft_s: float = 0.0
    total_s: float = 0.0

    def count_step(self, rows: Iterable[StepRow], num_blocks_used: int = 0) -> None:
        """A step is about to run these rows, with so many blocks in use."""
        self.num_steps += 1
        for row in rows:
            num_new = row.num_new
            num_positions = row.num_cached + num_new
            self.num_rows += 1
            self.num_positions_run += num_new
            self.num_positions_read += num_positions
            self.num_pairs += num_new * row.num_cached + num_new * (num_new + 1) // 2
            if row.encoder_table:
                self._count_prompt(len(row.context.prompt_ids), row)
            if row.num_logits:
                self.num_scored += row.num_logits
                self.num_tokens_generated += 1
                self.num_positions_uncached += num_positions - row.num_logits + 1
        self.num_blocks_used = num_blocks_used
        self.num_blocks_peak = max(self.num_blocks_peak, num_blocks_used)

    def count_draft(self, num_drafted: int, num_forced: int, num_before: int, num_cached: int) -> None:
        """A text took the first tokens of a draft, of which `num_forced` were sure: it has gone from
        `num_before` positions in the cache to `num_cached`."""
        num_kept = num_cached - num_before
        self.num_tokens_generated += num_kept
        self.num_positions_uncached += sum(range(num_before + 1, num_cached + 1))
        self.num_tokens_drafted += num_drafted - num_forced
        self.num_tokens_forced += min(num_kept, num_forced)
        self.num_tokens_accepted += max(num_kept - num_forced, 0)

    def _count_prompt(self, num_prompt: int, row: StepRow) -> None:
        """A prompt that stands apart from its row's positions: all of these look at all of it."""
        self.num_positions_read += num_prompt
        self.num_pairs += row.num_new * num_prompt
        if row.encodes:
            self.num_positions_encoded += num_prompt
            self.num_pairs_encoded += num_prompt * num_prompt

    def add(self, more: "EngineStats", sign: int = 1) -> None:
        """Add what another has counted; with -1 take away what was counted until then."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + sign * getattr(more, name))

    @property
    def mean_rows(self) -> float:
        """Sequences in a step, on average."""
        return self.num_rows / max(self.num_steps, 1)

    @property
    def batch_fill(self) -> float:
        """The share of `max_batch` rows that were in use, on average."""
        return self.mean_rows / max(self.max_batch, 1)

    @property
    def tokens_per_row(self) -> float:
        """Tokens that a row is given in a step, on average; drafts make them more than one, and rows that run
        a piece of a prompt are given none."""
        return self.num_tokens_generated / max(self.num_rows, 1)

    @property
    def acceptance_rate(self) -> float:
        """The share of drafted tokens that were kept."""
        return self.num_tokens_accepted / max(self.num_tokens_drafted, 1)

    @property
    def prefix_hit_rate(self) -> float:
        """The share of the prompts' positions that were found in the cache."""
        asked = self.num_prompt_tokens_run + self.num_prompt_tokens_shared
        return self.num_prompt_tokens_shared / max(asked, 1)

    @property
    def kv_bytes_used(self) -> int:
        return self.num_blocks_used * self._block_bytes

    @property
    def kv_bytes_peak(self) -> int:
        """The most that was in use at a step."""
        return self.num_blocks_peak * self._block_bytes

    @property
    def tokens_per_second(self) -> float:
        return self.num_tokens_generated / max(self.total_s, 1e-9)

    def speed(
        self,
        cost: ModelCost,
        *,
        peak_bytes_per_s: float | None = None,
        peak_flops_per_s: float | None = None,
    ) -> Speed:
        """How fast a model was run: weights are read once a step, keys and values once a row and a step."""
        num_bytes = self.num_steps * cost.weight_bytes
        num_written = self.num_positions_run + self.num_positions_encoded
        num_bytes += (self.num_positions_read + num_written) * cost.kv_bytes
        num_flops = self.num_positions_run * cost.position_flops
        num_flops += self.num_positions_encoded * cost.encoded_flops
        num_flops += self.num_pairs_encoded * cost.encoded_pair_flops
        num_flops += self.num_pairs * cost.pair_flops + self.num_scored * cost.head_flops
        seconds = max(self.total_s, 1e-9)
        return Speed(
            num_bytes / seconds,
            num_flops / seconds,
            num_bytes / seconds / peak_bytes_per_s if peak_bytes_per_s else None,
            num_flops / seconds / peak_flops_per_s if peak_flops_per_s else None,
        )

    def as_dict(self) -> Mapping[str, int | float]:
        """Every count and the shares worked out from them, for a report."""
        shares = ("mean_rows", "batch_fill", "prefix_hit_rate", "kv_bytes_used", "kv_bytes_peak")
        more = (*shares, "tokens_per_row", "acceptance_rate", "tokens_per_second")
        return {**asdict(self), **{name: getattr(self, name) for name in more}}

    @property
    def _block_bytes(self) -> int:
        return self.kv_bytes // max(self.num_blocks, 1)


# What grows as an engine runs; the other fields are sizes, and blocks in use.
_COUNTED = tuple(
    name
    for name in EngineStats.__slots__
    if name not in ("max_batch", "num_blocks", "kv_bytes", "num_blocks_used", "num_blocks_peak")
)
