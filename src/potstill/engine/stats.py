"""What an engine has done so far."""

from dataclasses import dataclass


@dataclass(slots=True)
class EngineStats:
    """Tokens and rows are counts, times seconds, memory bytes."""

    num_steps: int = 0
    num_rows: int = 0
    num_prompt_tokens_run: int = 0
    num_prompt_tokens_shared: int = 0
    num_tokens_generated: int = 0
    model_s: float = 0.0
    sampling_s: float = 0.0
    total_s: float = 0.0
    kv_bytes: int = 0

    @property
    def mean_rows(self) -> float:
        """Sequences in a step, on average."""
        return self.num_rows / max(self.num_steps, 1)

    @property
    def tokens_per_second(self) -> float:
        return self.num_tokens_generated / max(self.total_s, 1e-9)
