"""A constraint on one text, followed token by token as it is written. The prompt does not count."""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray


class Constraint(Protocol):
    """Stands at the output so far, at first at none. A token that ends the text is told of like any other."""

    @property
    def vocab_size(self) -> int: ...

    def allowed(self) -> NDArray[np.int32]:
        """One bit a token, [ceil(V / 32)]: token i is bit i % 32 of word i // 32. At least one is set.

        Where `forced` holds tokens only the first of them is set.
        """
        ...

    def forced(self) -> tuple[int, ...]:
        """Tokens that come next whatever the model says; none where there is a choice."""
        ...

    @property
    def must_end(self) -> bool:
        """Whether nothing but the end may come."""
        ...

    def num_valid(self, token_ids: Sequence[int]) -> int:
        """How many of these tokens, from the first on, may come next in a row."""
        ...

    def take(self, token_id: int) -> None:
        """Go on by an allowed token."""
        ...

    def undo(self, num_tokens: int) -> None:
        """Go back by so many tokens, at most those taken."""
        ...

    def fork(self) -> Self:
        """The same for a text that begins as this one and goes on otherwise."""
        ...

    def unmet(self) -> tuple[str, ...]:
        """What would be broken if the text ended here, each in a sentence for a person; nothing if it may."""
        ...
