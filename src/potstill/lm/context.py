"""What a language model is asked about."""

from typing import NamedTuple


class Context(NamedTuple):
    """The tokens before the one in question; a model adds its own BOS, so none stands here.

    A decoder reads prompt and output in a row, an encoder-decoder encodes the prompt and decodes the
    output, a constraint sees the output only.
    """

    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...] = ()

    @property
    def token_ids(self) -> tuple[int, ...]:
        return self.prompt_ids + self.output_ids

    @property
    def num_tokens(self) -> int:
        return len(self.prompt_ids) + len(self.output_ids)
