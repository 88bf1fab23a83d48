"""The rows that wait, run and are put out together: one text, or the beams of one search. No torch here."""

from dataclasses import dataclass

from potstill.engine.search import Search
from potstill.engine.sequence import Sequence


@dataclass(slots=True, eq=False, kw_only=True)
class Group:
    """`most_rows` is what it ever has at once; `arrival` is different for each group, later ones higher.

    The first row is the one that is handed over in the end, with a `search` too.
    """

    rows: list[Sequence]
    arrival: int
    priority: int = 0
    most_rows: int = 1
    search: Search | None = None

    @property
    def rank(self) -> tuple[int, int]:
        """Lower goes first: the higher priority, then the one that came first."""
        return (-self.priority, self.arrival)

    @property
    def num_new(self) -> int:
        """Positions to run before the next tokens can be drawn."""
        return sum(row.num_new for row in self.rows)

    @property
    def num_guessed(self) -> int:
        """Guessed positions that are run with the last of its own."""
        return sum(row.num_guessed for row in self.rows)

    @property
    def is_decoding(self) -> bool:
        """Whether every row needs a single position and nothing else."""
        return all(row.num_new == 1 and not row.has_to_encode for row in self.rows)

    @property
    def drafting_rows(self) -> list[Sequence]:
        """Rows whose next tokens may be guessed: those of a search look at many tokens, and draw none."""
        return [] if self.search is not None else self.rows
