"""The settings of an engine."""

from dataclasses import dataclass

from potstill.errors import ConfigError

_LIMITS = {"max_batch": 2**16, "block_size": 2**16, "kv_bytes": 2**63, "max_step_tokens": 2**31}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParams:
    """How much an engine holds at once.

    max_batch        >= 1 sequences that decode together
    block_size       >= 1 positions a block of the KV cache holds
    kv_bytes         > 0 bytes for the KV cache
    max_step_tokens  >= 1 positions run in one step; longer prompts are run in pieces
    """

    max_batch: int = 32
    block_size: int = 16
    kv_bytes: int = 512 << 20
    max_step_tokens: int = 2048

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"{name} is {value!r}; it must be a whole number.")
            if not 1 <= value < limit:
                raise ConfigError(f"{name} is {value}; it must be >= 1 and below {limit:,}.")

    @property
    def most_rows(self) -> int:
        """Rows that may run at once: each has a position in every step once it writes."""
        return min(self.max_batch, self.max_step_tokens)
