"""How surprised models are by documents: perplexity, what a mixture gains, intervals over documents.

Per token of whatever vocabulary the models share: figures of two vocabularies cannot be compared.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.lm.interpolation import Interpolation
from potstill.lm.token_scores import TokenScores
from potstill.metrics.bootstrap import Interval, statistic_interval

Logprobs = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MixtureReport:
    """A mixture beside the neural model alone, on the same tokens.

    num_units        documents, or pieces of them, that the intervals draw again
    neural, mixture  perplexities
    improvement      1 - (mixture - 1) / (neural - 1)
    share_sparse     of tokens whose ∞-gram has one continuation only
    share_unseen     of tokens to which the ∞-gram gives 0
    mean_suffix_len  tokens of context that the ∞-gram matched
    """

    num_units: int
    num_tokens: int
    neural: Interval
    mixture: Interval
    improvement: Interval
    share_sparse: float
    share_unseen: float
    mean_suffix_len: float

    def to_record(self) -> dict[str, Any]:
        return asdict(self)


def perplexity(logprobs: Sequence[Logprobs]) -> float:
    """exp of the mean of -log p over the tokens of all documents; infinite where one is impossible.

    Each document's [T] in nats, one token at least in all.
    """
    whole = np.concatenate(list(logprobs))
    assert whole.size, "perplexity needs a token"
    return float(np.exp(-whole.mean()))


def improvement(mixture: float, neural: float) -> float:
    """1 - (PPL - 1) / (PPL0 - 1): the share of the way to a perplexity of 1 (Liu et al. 2024,
    arXiv:2401.17377, table 1)."""
    return 1 - (mixture - 1) / (neural - 1)


def compare_mixture(
    units: Sequence[TokenScores], weights: Interpolation, seed: int, *, samples: int = 2000
) -> MixtureReport:
    """`units` are documents, or pieces of them where there are too few documents to draw from."""
    units = [unit for unit in units if unit.num_tokens]
    whole = TokenScores.join(units)
    mixed = [weights.mixed_logprobs(unit) for unit in units]
    rows = np.array(
        [
            (unit.neural_logprobs.sum(), logprobs.sum(), unit.num_tokens)
            for unit, logprobs in zip(units, mixed, strict=True)
        ]
    )

    def interval(statistic: Any) -> Interval:
        return statistic_interval(rows, statistic, seed, samples=samples)

    return MixtureReport(
        len(units),
        whole.num_tokens,
        interval(lambda sums: np.exp(-sums[:, 0] / sums[:, 2])),
        interval(lambda sums: np.exp(-sums[:, 1] / sums[:, 2])),
        interval(_improvement_of_sums),
        float(whole.is_sparse.mean()),
        float((whole.infinigram_probs == 0).mean()),
        float(whole.suffix_len.mean()),
    )


def _improvement_of_sums(sums: np.ndarray) -> np.ndarray:
    """From sums [any, 3] of log p of the neural model, of the mixture, and of tokens."""
    neural, mixture = (np.expm1(-sums[:, column] / sums[:, 2]) for column in (0, 1))
    gains: np.ndarray = 1 - mixture / neural
    return gains
