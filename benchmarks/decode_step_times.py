"""The time of steps that only write, apart from those that read prompts too. Standard library only."""

from dataclasses import asdict, dataclass


@dataclass
class StepTimes:
    decode_s: float = 0.0
    decode_tokens: int = 0
    decode_steps: int = 0
    prefill_s: float = 0.0
    prefill_tokens: int = 0
    prefill_steps: int = 0

    def add(self, seconds: float, num_prompt_tokens: int, num_rows: int) -> None:
        if num_prompt_tokens:
            self.prefill_s += seconds
            self.prefill_tokens += num_prompt_tokens
            self.prefill_steps += 1
        else:
            self.decode_s += seconds
            self.decode_tokens += num_rows
            self.decode_steps += 1

    def to_record(self) -> dict[str, float]:
        """With tokens a second: of decoding alone, and of prompts in steps that write besides."""
        return {
            **asdict(self),
            "decode_tokens_per_s": self.decode_tokens / self.decode_s if self.decode_s else 0.0,
            "prefill_tokens_per_s": self.prefill_tokens / self.prefill_s if self.prefill_s else 0.0,
        }
