"""The settings of a search for texts that hold phrases."""

from dataclasses import dataclass

from potstill.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalParams:
    """How NeuroLogic search (Lu et al. 2021, arXiv:2010.12884) keeps what is on its way to the clauses.

    num_beams        [2, 256] texts followed at once where a request with clauses asks for no search itself
    prune_factor     >= 1: tokens that advance a phrase, and a text's own likeliest, are left out from this
                     rank on among all of a step; none where all are kept
    sat_tolerance    >= 0: texts that meet so many clauses fewer than the best are kept
    lookahead_steps  [0, 16] tokens each text is followed greedily, to see how likely the open phrases become
                     (Lu et al. 2022, arXiv:2112.08726), before the better half of the texts goes on; with 0
                     all go on
    alpha            [0, 10]: how much that likelihood counts
    """

    num_beams: int = 8
    prune_factor: int | None = 200
    sat_tolerance: int = 2
    lookahead_steps: int = 0
    alpha: float = 0.25

    @property
    def most_guessed(self) -> int:
        """Of the tokens looked at, those that are guessed: the first is the next token's."""
        return max(self.lookahead_steps - 1, 0)

    def __post_init__(self) -> None:
        for name in ("num_beams", "prune_factor", "sat_tolerance", "lookahead_steps"):
            value = getattr(self, name)
            may_be_none = name == "prune_factor" and value is None
            if not may_be_none and (isinstance(value, bool) or not isinstance(value, int)):
                raise ConfigError(f"{name} is {value!r}; it must be a whole number.")
        checks = (
            ("num_beams", 2 <= self.num_beams <= 256, "in [2, 256]"),
            ("prune_factor", self.prune_factor is None or 1 <= self.prune_factor < 2**31, ">= 1, or none"),
            ("sat_tolerance", 0 <= self.sat_tolerance < 2**31, ">= 0"),
            ("lookahead_steps", 0 <= self.lookahead_steps <= 16, "in [0, 16]"),
            ("alpha", 0 <= self.alpha <= 10, "in [0, 10]"),
        )
        for name, holds, range_text in checks:
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be {range_text}.")
