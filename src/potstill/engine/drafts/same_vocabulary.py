"""Whether the tokens of one vocabulary are those of another, whatever files the two came from."""

from typing import Protocol

from potstill.errors import UsageError
from potstill.tokenization.tokenizer import Tokenizer


class _Spelled(Protocol):
    @property
    def vocab_size(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def token_bytes(self, token_id: int) -> bytes: ...

    def piece(self, token_id: int) -> str: ...


def check_same_vocabulary(target: Tokenizer, draft: Tokenizer) -> None:
    """UsageError, with what differs, unless a draft's tokens stand for what the target's stand for.

    One may have more control tokens at its end than the other, and more ways to end a text.
    """
    if difference := first_difference(target, draft) or _other_ends(target, draft):
        raise UsageError(
            f"The draft model has another tokenizer than the model it drafts for: {difference}. "
            f"Take a draft model of the same family."
        )


def first_difference(target: _Spelled, other: _Spelled) -> str | None:
    """The first token that stands for something else, in words; None where there is none."""
    if target.fingerprint == other.fingerprint:
        return None
    for token_id in range(min(target.vocab_size, other.vocab_size)):
        # Files differ in which tokens they call control tokens, and those have no bytes.
        if target.piece(token_id) != other.piece(token_id):
            mine, its = _text_of(target, token_id), _text_of(other, token_id)
            if mine != its:
                return f"token {token_id:,} is {its!r} and the target's is {mine!r}"
    shorter, longer = sorted((target, other), key=lambda one: one.vocab_size)
    if any(_is_text(longer, token_id) for token_id in range(shorter.vocab_size, longer.vocab_size)):
        return f"it has {other.vocab_size:,} tokens and the target has {target.vocab_size:,}"
    return None


def _text_of(tokens: _Spelled, token_id: int) -> bytes | str:
    return tokens.token_bytes(token_id) or tokens.piece(token_id)


def _is_text(tokens: _Spelled, token_id: int) -> bool:
    # GGUF files name the rows that pad an embedding.
    return bool(tokens.token_bytes(token_id)) and tokens.piece(token_id) != f"[PAD{token_id}]"


def _other_ends(target: Tokenizer, draft: Tokenizer) -> str | None:
    if {*target.eos_ids} & {*draft.eos_ids} or target.eos_ids == draft.eos_ids:
        return None
    mine, its = (_listed(tokenizer.eos_ids) for tokenizer in (target, draft))
    return f"its texts end with {its} and the target's with {mine}"


def _listed(token_ids: tuple[int, ...]) -> str:
    return f"token {' or '.join(map(str, token_ids))}" if token_ids else "no token"
