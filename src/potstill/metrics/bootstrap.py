"""How sure a mean over records is, by drawing the records again (Efron 1979; in pairs: Koehn 2004)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from potstill.seeds import random_generator

# Bounds the indices held at once to 32 MiB.
_MAX_INDICES = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, or another figure of all records, with the range that holds it at the level asked for.

    `p` is the two-sided probability that resampling puts the difference on the other side of zero, in (0, 1];
    only a difference has one.
    """

    mean: float
    low: float
    high: float
    p: float | None = None


def mean_interval(
    values: Sequence[float] | np.ndarray, seed: int, *, samples: int = 2000, level: float = 0.95
) -> Interval:
    """The mean of `values` (not empty, finite) with its percentile bootstrap interval."""
    array = _checked(values)
    means = _resampled_means(array, seed, samples)
    low, high = _percentiles(means, level)
    return Interval(float(array.mean()), low, high)


def paired_difference(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    seed: int,
    *,
    samples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """The mean of a - b, where a[i] and b[i] judge the same record, with its interval and p."""
    first, second = _checked(a), _checked(b)
    assert first.shape == second.shape, f"{first.size} values are paired with {second.size}"
    differences = first - second
    means = _resampled_means(differences, seed, samples)
    low, high = _percentiles(means, level)
    # One is added so that no finite number of draws claims certainty (Davison and Hinkley 1997, section 4.2).
    one_sided = (min(int((means <= 0).sum()), int((means >= 0).sum())) + 1) / (samples + 1)
    return Interval(float(differences.mean()), low, high, min(1.0, 2 * one_sided))


def statistic_interval(
    rows: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    seed: int,
    *,
    samples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """A figure of the sums over all records, such as a ratio of two, with its percentile bootstrap interval.

    rows [records, K] finite; `statistic` takes sums [any number, K] to as many figures.
    """
    assert rows.ndim == 2 and len(rows) and np.isfinite(rows).all(), "finite numbers, K a record"
    drawn = [rows[indices].sum(axis=1) for indices in _drawn_indices(len(rows), seed, samples)]
    low, high = _percentiles(statistic(np.concatenate(drawn)), level)
    return Interval(float(statistic(rows.sum(axis=0)[None])[0]), low, high)


def _checked(values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    assert array.ndim == 1 and array.size, "a mean needs values in a row"
    assert np.isfinite(array).all(), "a mean needs finite values"
    return array


def _resampled_means(values: np.ndarray, seed: int, samples: int) -> np.ndarray:
    """[samples] means of as many values, drawn with replacement."""
    return np.concatenate(
        [values[indices].mean(axis=1) for indices in _drawn_indices(len(values), seed, samples)]
    )


def _drawn_indices(num_records: int, seed: int, samples: int) -> Iterator[np.ndarray]:
    """[some, num_records] indices drawn with replacement, `samples` rows in all."""
    generator = random_generator(seed, "bootstrap")
    rows = max(1, _MAX_INDICES // num_records)
    for start in range(0, samples, rows):
        yield generator.integers(num_records, size=(min(rows, samples - start), num_records))


def _percentiles(means: np.ndarray, level: float) -> tuple[float, float]:
    assert 0 < level < 1
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
