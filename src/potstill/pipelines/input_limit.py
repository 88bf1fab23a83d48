"""Inputs cut to so many tokens, and told of."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from potstill.pipelines.arguments import whole_number
from potstill.tokenization.tokenizer import Tokenizer


class InputsCut(UserWarning):
    """Inputs were longer than `max_input_tokens`."""


@dataclass(frozen=True)
class InputLimit:
    """max_tokens  of a text, without what a prompt or the model puts around it; None cuts nothing
    keeps       which end of a text that is too long stays
    """

    max_tokens: int | None
    keeps: Literal["first", "last"] = "first"

    def cut(self, texts: Sequence[str], tokenizer: Tokenizer) -> list[str]:
        """Warns with `InputsCut` where any was longer."""
        if self.max_tokens is None:
            return list(texts)
        shorter = [self._cut_one(text, self.max_tokens, tokenizer) for text in texts]
        changed = [index for index, text in enumerate(texts) if shorter[index] != text]
        if changed:
            shown = ", ".join(map(str, changed[:5])) + (", …" if len(changed) > 5 else "")
            warnings.warn(
                f"{len(changed):,} of {len(texts):,} inputs had more than max_input_tokens="
                f"{self.max_tokens:,} tokens, and only the {self.keeps} of them are read (input {shown}).",
                InputsCut,
                stacklevel=2,
            )
        return shorter

    def _cut_one(self, text: str, most: int, tokenizer: Tokenizer) -> str:
        (found,) = tokenizer.encode_spans([text])
        if len(found.ids) <= most:
            return text
        for num_kept in range(most, 0, -1):
            piece = self._piece(text, found.spans, num_kept)
            # A piece may be made of other tokens than it was in the whole, and of more of them.
            if len(tokenizer.encode(piece)) <= most:
                return piece
        return ""

    def _piece(self, text: str, spans: Sequence[tuple[int, int]], num_kept: int) -> str:
        if self.keeps == "first":
            return text[: spans[num_kept - 1][1]]
        return text[spans[-num_kept][0] :]


def input_limit(arguments: Mapping[str, Any], keeps: Literal["first", "last"] = "first") -> InputLimit:
    """What `max_input_tokens` says."""
    most = arguments.get("max_input_tokens")
    return InputLimit(None if most is None else whole_number("max_input_tokens", most), keeps)
