"""One thing to learn: given these tokens, answer those."""

from typing import NamedTuple

from potstill.errors import ConfigError


class Example(NamedTuple):
    """A prompt and its target as token ids; loss is taken on the target only.

    The prompt begins with BOS where the model has one; EOS ends the target.
    """

    prompt_ids: tuple[int, ...]
    target_ids: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Positions the model runs: the last target token is predicted, never read."""
        return len(self.prompt_ids) + len(self.target_ids) - 1


def check_example(example: Example, index: int, vocab_size: int) -> None:
    """ConfigError unless prompt and target hold at least one id each, all in [0, vocab_size)."""
    for name, ids in (("prompt", example.prompt_ids), ("target", example.target_ids)):
        if not ids:
            raise ConfigError(f"Example {index} has an empty {name}; give it at least one token.")
        if not 0 <= min(ids) <= max(ids) < vocab_size:
            raise ConfigError(
                f"Example {index} has a {name} with token ids from {min(ids)} to {max(ids)}, but the model's "
                f"vocabulary holds {vocab_size:,}. Tokenize it with the model's own tokenizer."
            )
