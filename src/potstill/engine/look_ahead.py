"""What the rows of a beam search may go on with: their likeliest tokens, found without a sort."""

from collections.abc import Sequence as Many

from torch import Tensor

from potstill.engine.beam import BeamParams, Continuations
from potstill.engine.logprobs import likeliest, log_sums
from potstill.engine.sampling import DrawingRow, edited_scores, edits_scores
from potstill.types import SamplingParams


def look_ahead(rows: Many[DrawingRow], logits: Tensor, num_eos: int) -> list[Continuations]:
    """What each row may go on with; `logits` [B, V] is left as it is.

    Scores follow the row's rules on repetition, which act on the model's scores as in drawing.
    """
    edits = any(edits_scores(row) for row in rows)
    counts = [_num_looked_at(row.sampling, num_eos) for row in rows]
    best = likeliest(edited_scores(rows, logits) if edits else logits, max(counts))
    sums = log_sums(logits)[:, None]
    found = zip(
        best.token_ids.tolist(),
        (best.scores - sums).tolist(),
        (logits.gather(1, best.token_ids) - sums).tolist(),
        counts,
        strict=True,
    )
    return [Continuations(ids[:n], scores[:n], logprobs[:n]) for ids, scores, logprobs, n in found]


def _num_looked_at(asked: SamplingParams, num_eos: int) -> int:
    return BeamParams(asked.num_beams, asked.max_tokens, eos_ids=frozenset(range(num_eos))).num_looked_at
