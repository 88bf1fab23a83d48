"""How far a text's drafts go: as long as they are likely to be kept. No torch here."""

from collections.abc import Sequence
from math import prod

MOST_DRAFTED = 16
_FIRST, _LOWEST, _HIGHEST = 0.4, 0.05, 0.95
_FALL = 0.1


class DraftLength:
    """A draft ends with the token at which the product of its probabilities falls under `threshold`.

    That a token was refused moves the threshold halfway to the product at the last that was kept, 1 where
    none was; a draft that was kept whole lowers it by 0.1. It stays within [0.05, 0.95].
    """

    def __init__(self) -> None:
        self.threshold = _FIRST

    def learn(self, probs: Sequence[float], num_kept: int) -> None:
        """So many of a draft's tokens were kept, from the first on."""
        if num_kept == len(probs):
            moved = self.threshold - _FALL
        else:
            moved = (self.threshold + prod(probs[:num_kept])) / 2
        self.threshold = min(max(_LOWEST, moved), _HIGHEST)
