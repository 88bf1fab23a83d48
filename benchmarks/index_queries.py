"""The queries of bench_index: the same n-grams and texts, asked of both engines in turns."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

NUM_QUERIES = 1_000
TEXT_TOKENS = 450

Ids = list[int]
# One round: the microseconds of each query, or of a whole batch spread over its queries.
Round = Callable[[], list[float]]


class Queries:
    """Drawn once with a fixed seed from the stream, and from texts that are not in it."""

    def __init__(self, symbols: np.ndarray, heldout: Sequence[np.ndarray], seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.ngrams = {n: _ngrams(symbols, n, rng) for n in (1, 2, 5, 10)}
        self.texts = [_window(text, rng) for text in heldout if len(text) >= TEXT_TOKENS]


def _ngrams(symbols: np.ndarray, n: int, rng: np.random.Generator) -> list[Ids]:
    """Half as they stand in the stream, half with their last token drawn anew, as most lookups go."""
    found: list[Ids] = []
    while len(found) < NUM_QUERIES:
        start = int(rng.integers(len(symbols) - n))
        ngram = symbols[start : start + n].astype(np.int64) - 1
        if (ngram < 0).any():
            continue
        if len(found) % 2:
            other = int(symbols[int(rng.integers(len(symbols)))]) - 1
            ngram[-1] = max(other, 0)
        found.append(ngram.tolist())
    return found


def _window(text: np.ndarray, rng: np.random.Generator) -> Ids:
    start = int(rng.integers(len(text) - TEXT_TOKENS + 1))
    return [int(token) for token in text[start : start + TEXT_TOKENS]]


def each(ask: Callable[[Any], object], queries: Sequence[Any]) -> Round:
    """Every query timed by itself."""

    def run() -> list[float]:
        times = []
        for query in queries:
            started = time.perf_counter_ns()
            ask(query)
            times.append((time.perf_counter_ns() - started) / 1e3)
        return times

    return run


def whole(ask: Callable[[], object], num_queries: int) -> Round:
    """All queries timed together."""

    def run() -> list[float]:
        started = time.perf_counter_ns()
        ask()
        return [(time.perf_counter_ns() - started) / 1e3 / num_queries]

    return run


def in_threads(ask: Callable[[Any], object], queries: Sequence[Any], threads: int) -> Callable[[], object]:
    """A loop over the queries in each of `threads` Python threads, a share each."""
    pool = ThreadPoolExecutor(threads)

    def share(first: int) -> None:
        for query in queries[first::threads]:
            ask(query)

    return lambda: list(pool.map(share, range(threads)))


def compare(ours: Round, rival: Round, rounds: int) -> dict[str, Any]:
    """Both in turns, after a round that does not count; the ratio is the rival's time over ours."""
    ours(), rival()
    taken: dict[str, list[list[float]]] = {"potstill": [], "infini_gram": []}
    for _ in range(rounds):
        taken["potstill"].append(ours())
        taken["infini_gram"].append(rival())
    found: dict[str, Any] = {
        name: {
            "p50_us": statistics.median(float(np.percentile(times, 50)) for times in runs),
            "p99_us": statistics.median(float(np.percentile(times, 99)) for times in runs),
        }
        for name, runs in taken.items()
    }
    for share in ("p50", "p99"):
        ratios = [
            float(np.percentile(theirs, int(share[1:])) / np.percentile(mine, int(share[1:])))
            for mine, theirs in zip(taken["potstill"], taken["infini_gram"], strict=True)
        ]
        found[f"ratio_{share}"] = statistics.median(ratios)
        found[f"ratio_{share}_spread"] = [min(ratios), max(ratios)]
    return found
