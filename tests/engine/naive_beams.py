"""Beam search as one would explain it: every continuation of every text, sorted, in plain Python."""

import math
from collections.abc import Callable, Sequence

Logprobs = Callable[[tuple[int, ...]], Sequence[float]]  # of each next token after these ones


def naive_beams(
    logprobs_after: Logprobs,
    *,
    num_beams: int,
    max_tokens: int,
    length_penalty: float = 1.0,
    early_stopping: bool = False,
    eos_ids: Sequence[int] = (),
) -> list[tuple[tuple[int, ...], float]]:
    """The finished texts with their scores, the best first."""
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished: list[tuple[tuple[int, ...], float]] = []
    for length in range(1, max_tokens + 1):
        grown = [
            ((*text, token_id), total + logprob)
            for text, total in live
            for token_id, logprob in enumerate(logprobs_after(text))
            if logprob > -math.inf
        ]
        grown.sort(key=lambda one: -one[1])

        def ends(text: tuple[int, ...], length: int = length) -> bool:
            return text[-1] in eos_ids or length == max_tokens

        finished += [
            (text, total / length**length_penalty) for text, total in grown[:num_beams] if ends(text)
        ]
        finished = sorted(finished, key=lambda one: -one[1])[:num_beams]
        live = [(text, total) for text, total in grown if not ends(text)][:num_beams]
        is_full = len(finished) == num_beams
        if not live or (is_full and early_stopping):
            break
        if is_full and live[0][1] / length**length_penalty <= finished[-1][1]:
            break
    return finished
