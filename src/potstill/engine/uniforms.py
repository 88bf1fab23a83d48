"""The chance in a sequence: a function of (seed, position) and of nothing else."""

from potstill.seeds import random_generator

# Many at once cost little more than one, and a stream's beginning does not depend on its length.
_DRAWN_AT_ONCE = 64


class Uniforms:
    """Numbers uniform on [0, 1); position i is element i of the Philox stream that `seed` keys."""

    def __init__(self, seed: int) -> None:
        self._generator = random_generator(seed, "next token")
        self._drawn: list[float] = []

    def at(self, position: int) -> float:
        while position >= len(self._drawn):
            self._drawn.extend(self._generator.random(_DRAWN_AT_ONCE).tolist())
        return self._drawn[position]
