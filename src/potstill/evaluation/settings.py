"""The recipe's [evaluation] table."""

from dataclasses import dataclass
from pathlib import Path

from potstill.errors import ConfigError


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How the student is compared with what it was made from.

    file          JSONL with `input` and, where there are any, `summaries`; None takes the built-in sentences
    num_examples  at most so many, drawn with the run's seed; None takes all
    temperature   of every system compared, >= 0; 0 is greedy
    top_p         of every system compared, (0, 1]
    max_tokens    of one output, >= 1
    resamples     of the paired bootstrap, >= 100
    level         of its intervals, in (0.5, 1)
    """

    file: Path | None = None
    num_examples: int | None = None
    temperature: float = 0.7
    top_p: float = 0.9
    max_tokens: int = 48
    resamples: int = 2000
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.num_examples is not None and self.num_examples < 1:
            raise ConfigError(f"num_examples is {self.num_examples}; it must be at least 1.")
        if not 0 <= self.temperature < 10:
            raise ConfigError(f"temperature is {self.temperature}; it must be in [0, 10).")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; it must be in (0, 1].")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens is {self.max_tokens}; it must be at least 1.")
        if self.resamples < 100:
            raise ConfigError(f"resamples is {self.resamples}; fewer than 100 give no interval.")
        if not 0.5 < self.level < 1:
            raise ConfigError(f"level is {self.level}; it must be in (0.5, 1).")
