"""What the rows of searches may go on with: their likeliest tokens, found without a sort, and named ones."""

from collections.abc import Sequence as Many
from typing import Any

import torch
from torch import Tensor

from potstill.engine.logprobs import likeliest
from potstill.engine.looked_at import Continuations, LookedAt
from potstill.engine.sampling import DrawingRow, edited_scores, edits_scores, log_sums


def look_ahead(rows: Many[DrawingRow], asked: Many[LookedAt], logits: Tensor) -> list[Continuations]:
    """What each row may go on with; `logits` [B, V] is left as it is.

    Scores follow the row's rules on repetition and its constraint, which act on the model's scores as in
    drawing.
    """
    scores = edited_scores(rows, logits) if any(map(edits_scores, rows)) else logits
    best = likeliest(scores, max(one.num_likeliest for one in asked))
    token_ids = torch.cat((best.token_ids, _named(asked, logits)), dim=1)  # [B, C]
    sums = log_sums(logits)[:, None]
    found = zip(
        asked,
        token_ids.tolist(),
        (scores.gather(1, token_ids) - sums).tolist(),
        (logits.gather(1, token_ids) - sums).tolist(),
        strict=True,
    )
    num_best = best.token_ids.shape[1]
    return [
        Continuations(_cut(ids, one, num_best), _cut(edited, one, num_best), _cut(own, one, num_best))
        for one, ids, edited, own in found
    ]


def _named(asked: Many[LookedAt], logits: Tensor) -> Tensor:
    """[B, W] the tokens asked for by name; a row that asks for fewer has any behind them."""
    width = max(len(one.token_ids) for one in asked)
    rows = [(*one.token_ids, *[0] * (width - len(one.token_ids))) for one in asked]
    return torch.tensor(rows, dtype=torch.int64, device=logits.device).reshape(len(asked), width)


def _cut(column: list[Any], one: LookedAt, num_best: int) -> list[Any]:
    """What this row asked for: the first of the likeliest, and all by name."""
    return column[: min(one.num_likeliest, num_best)] + column[num_best : num_best + len(one.token_ids)]
