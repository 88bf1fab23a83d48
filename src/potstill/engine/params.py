"""The settings of an engine."""

from dataclasses import dataclass

from potstill.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParams:
    """How much an engine holds at once.

    max_batch        >= 1 sequences that decode together
    block_size       >= 1 positions a block of the KV cache holds
    kv_bytes         > 0 bytes for the KV cache
    max_step_tokens  >= 1 positions run in one step; a longer prompt runs alone
    """

    max_batch: int = 32
    block_size: int = 16
    kv_bytes: int = 512 << 20
    max_step_tokens: int = 2048

    def __post_init__(self) -> None:
        for name in ("max_batch", "block_size", "kv_bytes", "max_step_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be >= 1.")
