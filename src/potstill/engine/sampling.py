"""From a step's scores to one drawn token a row: small functions on [B, V], and their composition.

A row's filters are applied in the order temperature, top-k, top-p, min-p, each to what the one before left.
The token is drawn by inverse CDF in the order of token ids, so a uniform number decides it alone.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from potstill import _native
from potstill.engine.token_masks import forbid_others
from potstill.errors import DamagedError
from potstill.types import SamplingParams


class DrawingRow(Protocol):
    """What drawing asks of a sequence, or of one as it would be after tokens that are only guessed."""

    @property
    def sampling(self) -> SamplingParams: ...

    @property
    def seen_ids(self) -> NDArray[np.int64]:
        """What stands in the output, each token once."""
        ...

    @property
    def banned_ids(self) -> set[int]:
        """Tokens that would repeat an n-gram."""
        ...

    @property
    def allowed(self) -> NDArray[np.int32] | None:
        """A bit a token, as `Constraint.allowed` gives them; None where nothing is forbidden."""
        ...

    def next_uniform(self) -> float: ...


class Draw(NamedTuple):
    """`logprobs` are the model's own at temperature 1, before any filter; both [B]."""

    token_ids: Tensor
    logprobs: Tensor


class Filters(NamedTuple):
    """The settings of each row, [B] each, on the scores' device."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor

    @classmethod
    def of(cls, rows: Sequence[SamplingParams], device: torch.device) -> "Filters":
        def column(name: str, dtype: torch.dtype) -> Tensor:
            return torch.tensor([getattr(row, name) for row in rows], dtype=dtype, device=device)

        return cls(
            column("temperature", torch.float32),
            column("top_k", torch.int32),
            column("top_p", torch.float32),
            column("min_p", torch.float32),
        )

    @classmethod
    def greedy(cls, num_rows: int) -> "Filters":
        """For rows of which the likeliest token is taken."""
        zeros = torch.zeros(num_rows)
        return cls(zeros, zeros.int(), torch.ones(num_rows), zeros)


def draw_rows(rows: Sequence[DrawingRow], logits: Tensor) -> Draw:
    """Draw each row's next token by its own settings and chance; `logits` [B, V] is left as it is."""
    filters = Filters.of([row.sampling for row in rows], logits.device)
    uniforms = torch.tensor([row.next_uniform() for row in rows], dtype=torch.float64, device=logits.device)
    edited = [index for index, row in enumerate(rows) if edits_scores(row)]
    if not edited:
        return draw(logits, filters, uniforms)
    token_ids, logprobs = draw(edited_scores(rows, logits), filters, uniforms)
    seen = logits[edited]
    own = seen.gather(-1, token_ids[edited, None])[:, 0].float() - log_sums(seen)
    return Draw(token_ids, logprobs.index_copy(0, torch.tensor(edited, device=logits.device), own))


def edits_scores(row: DrawingRow) -> bool:
    asked = row.sampling
    return asked.repetition_penalty != 1 or asked.no_repeat_ngram_size > 0 or row.allowed is not None


def edited_scores(rows: Sequence[DrawingRow], logits: Tensor) -> Tensor:
    """A copy of `logits` [B, V] to which each row's rules on repetition and its constraint are applied."""
    scores = logits.clone()
    for index, row in enumerate(rows):
        if not edits_scores(row):
            continue
        if (penalty := row.sampling.repetition_penalty) != 1:
            penalise_repetition(scores, index, row.seen_ids, penalty)
        if (allowed := row.allowed) is not None:
            forbid_others(scores, index, allowed)
        # After the constraint: a ban that would leave nothing is lifted, and lifts nothing else.
        ban(scores, index, row.banned_ids)
    return scores


def draw(logits: Tensor, filters: Filters, uniforms: Tensor) -> Draw:
    """Draw a token for each row of `logits` [B, V]; `uniforms` [B] float64 in [0, 1)."""
    if logits.device.type != "cpu":
        return draw_plain(logits, filters, uniforms)
    try:
        token_ids, logprobs = _native.sample(logits.contiguous(), *filters, uniforms)
    except ValueError as error:
        if logits.isfinite().any(-1).all() and not (logits.isnan() | logits.isposinf()).any():
            raise
        raise damaged_scores(f" ({error})") from None
    return Draw(torch.from_numpy(token_ids), torch.from_numpy(logprobs))


def log_sums(logits: Tensor) -> Tensor:
    """What a row's logits are above its log-probabilities at temperature 1, [B] float32.

    DamagedError where the scores are no numbers.
    """
    num_rows = len(logits)
    if logits.device.type == "cpu":
        # The kernel that draws sums a row's exponentials without writing them.
        drawn = draw(logits, Filters.greedy(num_rows), torch.zeros(num_rows, dtype=torch.float64))
        return logits.gather(1, drawn.token_ids[:, None])[:, 0].float() - drawn.logprobs
    sums = logits.float().logsumexp(-1)
    if not bool(sums.isfinite().all()):
        raise damaged_scores()
    return sums


def damaged_scores(details: str = "") -> DamagedError:
    return DamagedError(
        f"The model gives scores that are no numbers{details}, so its weights are damaged. "
        f"Fetch it again, or train it again into a new folder."
    )


def draw_plain(logits: Tensor, filters: Filters, uniforms: Tensor) -> Draw:
    """The definition, in whole passes over [B, V]; DamagedError where scores are no numbers."""
    logits = logits.double()
    kept = apply_temperature(logits, filters.temperature)
    kept = apply_top_k(kept, filters.top_k)
    kept = apply_top_p(kept, filters.top_p)
    kept = apply_min_p(kept, filters.min_p)
    drawn = torch.where(filters.temperature == 0, logits.argmax(-1), invert_cdf(kept, uniforms))  # [B]
    logprobs = logits.log_softmax(-1).gather(-1, drawn[:, None])[:, 0]
    if not bool(logprobs.isfinite().all()):
        raise damaged_scores()
    return Draw(drawn, logprobs.float())


def apply_temperature(logits: Tensor, temperature: Tensor) -> Tensor:
    """Rows of temperature 0 stay as they are: they are greedy."""
    return logits / torch.where(temperature > 0, temperature, 1.0).to(logits.dtype)[:, None]


def apply_top_k(logits: Tensor, top_k: Tensor) -> Tensor:
    """Keep the `top_k` likeliest tokens of each row; 0 keeps all."""
    return keep_likeliest(logits, torch.where(top_k > 0, top_k, logits.shape[-1]))


def apply_top_p(logits: Tensor, top_p: Tensor) -> Tensor:
    """Keep the smallest set of likeliest tokens with a mass of at least `top_p`."""
    probs = logits.sort(dim=-1, descending=True).values.softmax(-1)
    mass_before = probs.cumsum(-1) - probs  # [B, V]
    # The mass *before* a token decides, so the token that crosses top_p stays and a row never empties.
    num_kept = (mass_before < top_p[:, None]).sum(-1).clamp(min=1)
    return keep_likeliest(logits, torch.where(top_p < 1, num_kept, logits.shape[-1]))


def apply_min_p(logits: Tensor, min_p: Tensor) -> Tensor:
    """Keep tokens with at least `min_p` times the likeliest token's probability."""
    lowest = logits.amax(-1) + min_p.to(logits.dtype).log()  # [B]; -inf where min_p is 0
    return logits.masked_fill(logits < lowest[:, None], -torch.inf)


def keep_likeliest(logits: Tensor, num_kept: Tensor) -> Tensor:
    """Forbid all but the `num_kept` [B] highest of each row; of equals, those of lower ids stay."""
    order = logits.sort(dim=-1, descending=True, stable=True).indices
    ranks = order.argsort(-1)  # [B, V]
    return logits.masked_fill(ranks >= num_kept[:, None], -torch.inf)


def invert_cdf(logits: Tensor, uniforms: Tensor) -> Tensor:
    """The first token, in the order of ids, at which the cumulated probability exceeds the number, [B]."""
    cumulated = logits.double().softmax(-1).cumsum(-1)  # [B, V]
    # Rounding may leave the sum a little under 1, so the number is a share of the sum.
    wanted = uniforms.double() * cumulated[:, -1]
    found = torch.searchsorted(cumulated, wanted[:, None], right=True)[:, 0]
    # Of what is no number nothing is found, and an index beyond the row would end the device's work.
    return found.clamp(max=logits.shape[-1] - 1)


def penalise_repetition(logits: Tensor, row: int, seen_ids: NDArray[np.int64], penalty: float) -> None:
    """Lower the scores of what was written, in place: positive ones divided, negative ones multiplied.

    Keskar et al. 2019 (arXiv:1909.05858), section 4.1, with the rule for negative scores that other
    libraries follow. It acts on the scores as the model gives them.
    """
    seen = torch.from_numpy(seen_ids).to(logits.device)
    scores = logits[row, seen]
    logits[row, seen] = torch.where(scores > 0, scores / penalty, scores * penalty)


def ban(logits: Tensor, row: int, token_ids: set[int]) -> None:
    """Forbid tokens of a row, in place, unless that would leave none that the model allows."""
    if not token_ids:
        return
    banned = torch.tensor(sorted(token_ids), device=logits.device)
    scores = logits[row, banned]
    logits[row, banned] = -torch.inf
    if logits[row].amax() == -torch.inf:
        logits[row, banned] = scores
