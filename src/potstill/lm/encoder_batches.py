"""Texts as an encoder takes them: with special tokens, in batches of like length."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from potstill.errors import DamagedError, UsageError
from potstill.models.encoder_config import EncoderConfig
from potstill.tokenization.tokenizer import Tokenizer, WholeText

# A text, or two of which each may be seen from the other.
Text = str | tuple[str, str]

_TOKENIZED_AT_ONCE = 4096


class EncoderBatch(NamedTuple):
    """B texts in a row: token_ids, type_ids [N]; indices [B] says which texts they are."""

    token_ids: Tensor
    type_ids: Tensor
    lengths: Sequence[int]
    indices: Sequence[int]

    @property
    def firsts(self) -> Tensor:
        """Each text's first token, [B] int64."""
        lengths = torch.tensor([0, *self.lengths[:-1]], device=self.token_ids.device)
        return lengths.cumsum(0)


class EncoderReader:
    """Makes batches of texts for one encoder.

    max_tokens    tokens of the longest text, special ones included
    truncates     whether longer texts are cut at their ends; otherwise they are refused
    batch_tokens  tokens run at once, about
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        *,
        max_tokens: int | None = None,
        truncates: bool = False,
        batch_tokens: int = 4096,
        device: torch.device | str = "cpu",
    ) -> None:
        if tokenizer.vocab_size > config.vocab_size:
            raise DamagedError(
                f"The tokenizer has {tokenizer.vocab_size:,} tokens and the encoder {config.vocab_size:,}; "
                f"they do not belong together. Fetch the model again."
            )
        self.tokenizer, self.device = tokenizer, device
        self.max_tokens = min(config.max_positions, max_tokens or config.max_positions)
        self.truncates, self._batch_tokens = truncates, batch_tokens
        # RoBERTa was trained without telling a second text apart.
        self._tells_second = config.model_type == "bert" and config.type_vocab_size > 1

    def batches(self, texts: Sequence[Text]) -> Iterator[EncoderBatch]:
        """Every text once; UsageError for one that is too long or is nothing, before any is run."""
        if isinstance(texts, str):
            raise UsageError("A list of texts is wanted, not one text.")
        wholes = list(chain.from_iterable(self._wholes(texts)))
        order = sorted(range(len(wholes)), key=lambda i: -len(wholes[i].ids))
        start = 0
        while start < len(order):
            longest = len(wholes[order[start]].ids)
            end = start + max(1, self._batch_tokens // longest)
            yield self._batch(order[start:end], wholes)
            start = end

    def _wholes(self, texts: Sequence[Text]) -> Iterator[list[WholeText]]:
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
            wholes = self.tokenizer.encode_whole(texts[start : start + _TOKENIZED_AT_ONCE], self.max_tokens)
            for offset, whole in enumerate(wholes):
                self._check(start + offset, whole)
            yield wholes

    def _check(self, index: int, whole: WholeText) -> None:
        if not whole.ids:
            raise UsageError(f"Text {index} has no tokens, and this vocabulary puts none around it.")
        if whole.num_cut and not self.truncates:
            raise UsageError(
                f"Text {index} has {len(whole.ids) + whole.num_cut:,} tokens; this encoder reads "
                f"{self.max_tokens:,}. Shorten it, or let it be cut: max_input_tokens of a pipeline, or "
                f"truncates=True where the encoder is loaded."
            )

    def _batch(self, indices: Sequence[int], wholes: Sequence[WholeText]) -> EncoderBatch:
        lengths = [len(wholes[i].ids) for i in indices]
        token_ids = torch.tensor(
            list(chain.from_iterable(wholes[i].ids for i in indices)), device=self.device
        )
        type_ids = torch.zeros_like(token_ids)
        if self._tells_second:
            type_ids = torch.tensor(
                list(chain.from_iterable(wholes[i].type_ids for i in indices)), device=self.device
            )
        return EncoderBatch(token_ids, type_ids, lengths, indices)
