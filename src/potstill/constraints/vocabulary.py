"""A model's vocabulary as grammars are followed over it: the bytes that each token writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from llguidance import LLTokenizer
from numpy.typing import NDArray

from potstill.tokenization.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance._tokenizer import TokenizerWrapper

_BITS = 32


@dataclass(frozen=True)
class Vocabulary:
    """`matchable` is what llguidance follows; masks hold one bit a token, [ceil(V / 32)].

    writable   tokens that write bytes: neither control tokens nor rows of the model that have no token
    ends       tokens that end a text; none where the model has no such token
    """

    matchable: LLTokenizer
    size: int
    end_ids: frozenset[int]
    writable: NDArray[np.int32]
    ends: NDArray[np.int32]

    @classmethod
    def of(cls, tokenizer: Tokenizer, vocab_size: int) -> "Vocabulary":
        """Over the model's `vocab_size` rows; about a second for 262,144 tokens (one thread of a Zen 5)."""
        tokenizer = tokenizer.without_prefix()
        end_ids = frozenset(token_id for token_id in tokenizer.eos_ids if token_id < vocab_size)
        spelled = _Spelled(tokenizer, max(vocab_size, tokenizer.vocab_size))
        writable = [token_id for token_id in range(vocab_size) if _writes(spelled.tokens[token_id])]
        return cls(
            matchable=spelled.matchable,
            size=vocab_size,
            end_ids=end_ids,
            writable=mask_of(sorted({*writable} - end_ids), vocab_size),
            ends=mask_of(sorted(end_ids), vocab_size),
        )

    def can_write(self, token_id: int) -> bool:
        word, bit = divmod(token_id, _BITS)
        return 0 <= token_id < self.size and bool(self.writable[word] >> bit & 1)


def _writes(piece: bytes) -> bool:
    """With 0xFF, which stands in no text, llguidance begins what it calls special tokens."""
    return bool(piece) and not piece.startswith(b"\xff")


class _Spelled:
    """What llguidance asks of a tokenizer: its tokens as bytes, and how it cuts a text.

    A row is added behind all others and named as the end: a text is ended by the constraint itself, and the
    library wants such a token of vocabularies that have none.
    """

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, num_rows: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = num_rows
        # Rows without a token and control tokens write nothing, and what writes nothing is not followed.
        self.tokens = [*map(tokenizer.token_bytes, range(num_rows)), b""]
        self.special_token_ids = [token_id for token_id, piece in enumerate(self.tokens) if not piece]
        wrapper = cast("TokenizerWrapper", self)
        self.matchable = LLTokenizer(wrapper, n_vocab=num_rows + 1, eos_token=num_rows)

    def __call__(self, text: str) -> list[int]:
        """The ids of `text` as the model was trained on it, so that forced texts are cut in the usual way.

        Where the tokenizer changes characters, or knows some of them not, its ids write another text: then
        the longest tokens that fit.
        """
        ids = self._tokenizer.encode(text)
        if b"".join(self.tokens[token_id] for token_id in ids) == text.encode():
            return ids
        found: list[int] = self.matchable.greedy_tokenize(text)
        return found


def mask_of(token_ids: Sequence[int], vocab_size: int) -> NDArray[np.int32]:
    """[ceil(V / 32)]: token i is bit i % 32 of word i // 32."""
    mask = np.zeros(-(-vocab_size // _BITS), np.uint32)
    words, bits = np.divmod(np.asarray(token_ids, np.uint32), np.uint32(_BITS))
    np.bitwise_or.at(mask, words, np.uint32(1) << bits)
    mask.flags.writeable = False
    return mask.view(np.int32)
