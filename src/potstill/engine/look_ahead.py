"""What the rows of a beam search may go on with: their likeliest tokens, found without a sort."""

from collections.abc import Sequence as Many

from torch import Tensor

from potstill.engine.beam import BeamParams
from potstill.engine.logprobs import likeliest, own_logprobs
from potstill.engine.sampling import edited_scores, edits_scores
from potstill.engine.search import Look
from potstill.engine.sequence import Sequence
from potstill.types import SamplingParams


def look_ahead(rows: Many[Sequence], logits: Tensor, num_eos: int) -> list[Look]:
    """What each row may go on with; `logits` [B, V] is left as it is.

    Scores follow the row's rules on repetition, which act on the model's scores as in drawing.
    """
    own = own_logprobs(logits)  # [B, V]
    scores = own
    if any(edits_scores(row.sampling) for row in rows):
        tops = logits.float().max(-1)
        log_sums = tops.values - own.gather(-1, tops.indices[:, None])[:, 0]
        scores = edited_scores(rows, logits.float()) - log_sums[:, None]
    counts = [_num_looked_at(row.sampling, num_eos) for row in rows]
    best = likeliest(scores, max(counts))
    columns = (best.token_ids, best.logprobs.double(), own.gather(1, best.token_ids).double())
    arrays = [column.cpu().numpy() for column in columns]
    return [Look(*(array[index, :count] for array in arrays)) for index, count in enumerate(counts)]


def _num_looked_at(asked: SamplingParams, num_eos: int) -> int:
    return BeamParams(asked.num_beams, asked.max_tokens, eos_ids=frozenset(range(num_eos))).num_looked_at
