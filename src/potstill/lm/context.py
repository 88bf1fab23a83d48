"""What a language model is asked about."""

from collections.abc import Sequence


class Context:
    """The tokens before the one in question; a model adds its own BOS, so none stands here.

    A decoder reads prompt and output in a row, an encoder-decoder encodes the prompt and decodes the
    output, a constraint sees the output only.

    `output_ids` may be given as a list that only grows: a context is of what it holds now, and copies it
    where somebody asks for more than its last token.
    """

    __slots__ = ("prompt_ids", "num_output", "_output_ids")

    def __init__(self, prompt_ids: tuple[int, ...], output_ids: Sequence[int] = ()) -> None:
        self.prompt_ids, self.num_output = prompt_ids, len(output_ids)
        self._output_ids = output_ids

    @property
    def output_ids(self) -> tuple[int, ...]:
        if not isinstance(self._output_ids, tuple):
            self._output_ids = tuple(self._output_ids[: self.num_output])
        return self._output_ids

    @property
    def last_output_id(self) -> int:
        """There must be one."""
        return self._output_ids[self.num_output - 1]

    @property
    def token_ids(self) -> tuple[int, ...]:
        return self.prompt_ids + self.output_ids

    def cut(self, num_output: int) -> "Context":
        """What stands there before output token `num_output`."""
        return (
            self if num_output == self.num_output else Context(self.prompt_ids, self.output_ids[:num_output])
        )

    @property
    def num_tokens(self) -> int:
        return len(self.prompt_ids) + self.num_output

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return NotImplemented
        return (self.prompt_ids, self.output_ids) == (other.prompt_ids, other.output_ids)

    def __hash__(self) -> int:
        return hash((self.prompt_ids, self.output_ids))

    def __repr__(self) -> str:
        return f"Context(prompt_ids={self.prompt_ids}, output_ids={self.output_ids})"
