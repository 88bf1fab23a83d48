"""The likeliest tokens of a row under the model itself: for requests that ask, and for beam search."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from potstill.types import TokenLogprobs

# Columns looked at together. The best of a row lie in the pieces with the highest maxima, so one pass for
# the maxima and a selection among few pieces replace a selection among the whole vocabulary.
_PIECE = 128


class Likeliest(NamedTuple):
    """The likeliest tokens of each row, the likeliest first, [B, count] each."""

    token_ids: Tensor
    scores: Tensor


def likeliest(scores: Tensor, count: int) -> Likeliest:
    """The `count` highest of each row of [B, V], or all V; of equals, lower ids go first and stay."""
    count = min(count, scores.shape[1])
    # One more than asked for shows whether equals stand on both sides of the end.
    found = _in_order(_some_likeliest(scores, min(count + 1, scores.shape[1])))
    cut = Likeliest(found.token_ids[:, :count], found.scores[:, :count])
    if found.scores.shape[1] == count:
        return cut
    last, beyond = found.scores[:, count - 1], found.scores[:, count]
    for row in ((last == beyond) & last.isfinite()).nonzero()[:, 0].tolist():
        ids = (scores[row] >= last[row]).nonzero()[:, 0]
        best = _in_order(Likeliest(ids[None], scores[row, ids][None]))
        cut.token_ids[row] = best.token_ids[0, :count]
    return cut


def _some_likeliest(scores: Tensor, count: int) -> Likeliest:
    """The same, without any order among equals, and any of them at the end."""
    num_rows, vocab_size = scores.shape
    num_pieces = vocab_size // _PIECE
    if num_pieces <= 2 * count:
        best = scores.topk(count)
        return Likeliest(best.indices, best.values)
    pieces = scores[:, : num_pieces * _PIECE].reshape(num_rows, num_pieces, _PIECE)
    first = pieces.amax(-1).topk(count).indices * _PIECE  # [B, count]
    offsets = first.new_tensor(range(_PIECE))
    looked_at = (first[:, :, None] + offsets).flatten(1)
    rest = first.new_tensor(range(num_pieces * _PIECE, vocab_size)).expand(num_rows, -1)
    ids = torch.cat((looked_at, rest), dim=1)
    best = scores.gather(1, ids).topk(count)
    return Likeliest(ids.gather(1, best.indices), best.values)


def _in_order(found: Likeliest) -> Likeliest:
    by_id = found.token_ids.argsort(-1)
    best = found.scores.gather(1, by_id).sort(descending=True, stable=True)
    return Likeliest(found.token_ids.gather(1, by_id.gather(1, best.indices)), best.values)


def alternatives(
    logits: Tensor, counts: Sequence[int], token_ids: Sequence[int], logprobs: Sequence[float]
) -> list[TokenLogprobs | None]:
    """What each row of `logits` [B, V] tells of its drawn token; None for a row that asks for 0 tokens.

    `logprobs` are the drawn tokens' own. Rows that ask for nothing cost nothing; tokens that the model rules
    out are not told.
    """
    told: list[TokenLogprobs | None] = [None] * len(counts)
    asking = [row for row, count in enumerate(counts) if count]
    if not asking:
        return told
    best = likeliest(logits[asking], max(counts))
    for row, ids, scores in zip(asking, best.token_ids.tolist(), best.scores.tolist(), strict=True):
        log_sum = float(logits[row, token_ids[row]]) - logprobs[row]
        own = ((token_id, min(score - log_sum, 0.0)) for token_id, score in zip(ids, scores, strict=True))
        pairs = tuple(pair for pair in own if pair[1] > -math.inf)[: counts[row]]
        told[row] = TokenLogprobs(token_ids[row], logprobs[row], pairs)
    return told
