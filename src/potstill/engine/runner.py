"""One call of the model: rows in, drawn tokens out, for beam searches what they may go on with."""

from collections.abc import Sequence as Many
from time import perf_counter
from typing import NamedTuple

from torch import Tensor

from potstill.engine import sampling
from potstill.engine.block_manager import BlockManager
from potstill.engine.drafted_row import drafted_rows
from potstill.engine.logprobs import alternatives
from potstill.engine.look_ahead import look_ahead
from potstill.engine.looked_at import Continuations
from potstill.engine.sampling import DrawingRow
from potstill.engine.scheduler import Share
from potstill.engine.sequence import Sequence
from potstill.engine.stats import EngineStats
from potstill.lm.protocol import BatchedDecoder, StepRow
from potstill.types import TokenLogprobs


class DrawnToken(NamedTuple):
    token_id: int
    logprob: float
    told: TokenLogprobs | None


class Outcome(NamedTuple):
    """For each row that was drawn from a token for every beginning of its draft, the empty one first; what
    the rows of searches see, whose tokens are chosen together once all of them have looked."""

    drawn: dict[Sequence, list[DrawnToken]]
    looks: dict[Sequence, Continuations]


class CallRunner:
    """Changes no sequence, so that a call which found no memory can be made again."""

    def __init__(self, decoder: BatchedDecoder, blocks: BlockManager, stats: EngineStats) -> None:
        self._decoder, self._blocks, self._stats = decoder, blocks, stats

    def run(self, call: Many[Share]) -> Outcome:
        logits = self._logits(call)
        started = perf_counter()
        outcome = self._outcome([share for share in call if share.num_logits], logits)
        self._stats.sampling_s += perf_counter() - started
        return outcome

    def _logits(self, call: Many[Share]) -> Tensor:
        """[M, V] of the positions that are drawn from."""
        started = perf_counter()
        rows = [
            StepRow(
                sequence.drafted_context,
                sequence.num_cached,
                num_new,
                sequence.block_table,
                num_logits,
                sequence.encoder_table,
                encodes,
            )
            for sequence, num_new, num_logits, encodes in call
        ]
        logits = self._decoder.step(rows)
        self._stats.num_prompt_tokens_run += sum(share.num_prompt_positions for share in call)
        self._stats.count_step(rows, self._blocks.num_blocks - self._blocks.num_free)
        self._stats.model_s += perf_counter() - started
        return logits

    def _outcome(self, shares: Many[Share], logits: Tensor) -> Outcome:
        owners = [share.sequence for share in shares for _ in range(share.num_logits)]
        rows = [row for share in shares for row in _drawing_rows(share)]
        searching = [index for index, owner in enumerate(owners) if owner.looked_at is not None]
        if not searching:
            return Outcome(self._drawn(owners, rows, logits), {})
        # Scores of a large vocabulary are worth no copy where every row searches.
        seen = logits if len(searching) == len(rows) else logits[searching]
        asked = [looked_at for owner in owners if (looked_at := owner.looked_at) is not None]
        looks = look_ahead([rows[index] for index in searching], asked, seen)
        drawing = [index for index, owner in enumerate(owners) if owner.looked_at is None]
        drawn = self._drawn(
            [owners[index] for index in drawing], [rows[index] for index in drawing], logits[drawing]
        )
        return Outcome(drawn, _by_row([owners[index] for index in searching], looks))

    def _drawn(
        self, owners: Many[Sequence], rows: Many[DrawingRow], logits: Tensor
    ) -> dict[Sequence, list[DrawnToken]]:
        if not rows:
            return {}
        drawn = sampling.draw_rows(rows, logits)
        token_ids, logprobs = drawn.token_ids.tolist(), drawn.logprobs.tolist()
        counts = [row.sampling.num_logprobs for row in rows]
        told = alternatives(logits, counts, token_ids, logprobs)
        tokens: dict[Sequence, list[DrawnToken]] = {owner: [] for owner in owners}
        for owner, *one in zip(owners, token_ids, logprobs, told, strict=True):
            tokens[owner].append(DrawnToken(*one))
        return tokens


def _by_row(owners: Many[Sequence], looks: Many[Continuations]) -> dict[Sequence, Continuations]:
    """What each row sees now, and with it what it sees after each token that was guessed."""
    found: dict[Sequence, list[Continuations]] = {}
    for owner, look in zip(owners, looks, strict=True):
        found.setdefault(owner, []).append(look)
    return {owner: first._replace(then=tuple(then)) for owner, (first, *then) in found.items()}


def _drawing_rows(share: Share) -> Many[DrawingRow]:
    sequence = share.sequence
    if share.num_logits == 1 and sequence.constraint is None:
        return [sequence]
    return drafted_rows(sequence, share.num_logits)
