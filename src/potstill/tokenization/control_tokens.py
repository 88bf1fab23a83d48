"""Keeps control tokens out of what users write, for vocabularies whose model would match them in any text.

Unigram and word vocabularies hold `</s>` among their pieces, and a text in which these characters stand in a
row would end there. Such a text is cut inside the characters and its parts are tokenized apart.
"""

from typing import NamedTuple

import tokenizers

_MATCHES_ANYWHERE = (tokenizers.models.Unigram, tokenizers.models.WordLevel)
# Assigned to nobody, so in no vocabulary.
_UNKNOWN_CHARACTER = "\U000f0000"


class ControlToken(NamedTuple):
    """`takes_before` and `takes_after` say whether white space beside it is part of it."""

    token_id: int
    takes_before: bool = False
    takes_after: bool = False


def matchable_ids(backend: tokenizers.Tokenizer, special_ids: set[int]) -> set[int]:
    """The special tokens that texts could hold; none for models that build tokens from smaller ones.

    What stands for unknown characters is left: any text may hold it.
    """
    if not isinstance(backend.model, _MATCHES_ANYWHERE):
        return set()
    return special_ids - set(backend.encode(_UNKNOWN_CHARACTER, add_special_tokens=False).ids)


def plain_parts(
    backend: tokenizers.Tokenizer, text: str, control_ids: set[int], start: int = 0
) -> list[tuple[int, tokenizers.Encoding]]:
    """Parts of `text` without control tokens, each with the place of its first character, from `start` on."""
    encoding = backend.encode(text, add_special_tokens=False)
    found = [
        span for token_id, span in zip(encoding.ids, encoding.offsets, strict=True) if token_id in control_ids
    ]
    if not found:
        return [(start, encoding)]
    parts = []
    begin = 0
    for first, end in found:
        # A single character that stands for a control token is left out.
        parts.append((begin, text[begin : first + 1 if end - first > 1 else first]))
        begin = first + 1 if end - first > 1 else end
    parts.append((begin, text[begin:]))
    return [
        placed for place, part in parts for placed in plain_parts(backend, part, control_ids, start + place)
    ]
