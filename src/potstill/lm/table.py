"""A language model written out as a table: for tests, and for exact tiny examples."""

from collections.abc import Mapping, Sequence

import numpy as np

from potstill.errors import ConfigError
from potstill.lm.context import Context


class TableModel:
    """Next-token probabilities by the longest suffix of the context that has a row.

    `rows` maps a suffix to the probability of each token; the empty suffix must be there. Rows are
    normalised, so counts will do.
    """

    def __init__(self, rows: Mapping[tuple[int, ...], Sequence[float]]) -> None:
        if () not in rows:
            raise ConfigError("A table model needs a row for the empty suffix ().")
        if len({len(row) for row in rows.values()}) != 1:
            raise ConfigError("The rows of a table model differ in length; each holds one number a token.")
        with np.errstate(divide="ignore"):
            self._rows: dict[tuple[int, ...], np.ndarray] = {
                suffix: np.log(_normalised(suffix, row)) for suffix, row in rows.items()
            }
        self._longest = max(len(suffix) for suffix in rows)
        self.vocab_size = len(rows[()])

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        rows = np.stack([self._row(context.token_ids) for context in contexts])  # [B, V]
        logprobs: np.ndarray = rows.astype(np.float32)
        return logprobs

    def _row(self, token_ids: tuple[int, ...]) -> np.ndarray:
        for length in range(min(self._longest, len(token_ids)), 0, -1):
            row = self._rows.get(token_ids[-length:])
            if row is not None:
                return row
        return self._rows[()]


def _normalised(suffix: tuple[int, ...], row: Sequence[float]) -> np.ndarray:
    probs = np.asarray(row, dtype=np.float64)
    if not (np.isfinite(probs).all() and (probs >= 0).all() and probs.sum() > 0):
        raise ConfigError(f"The row of {suffix} needs numbers >= 0 with a positive sum.")
    shares: np.ndarray = probs / probs.sum()
    return shares
