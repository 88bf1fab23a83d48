"""Text to token ids and back, over the `tokenizers` library."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers

from potstill.errors import UsageError
from potstill.files import write_json, write_text
from potstill.tokenization.control_tokens import ControlToken, matchable_ids, plain_parts
from potstill.tokenization.prefixes import is_put_once, without_prefix
from potstill.tokenization.spelling import spelling_of


class TokenSpans(NamedTuple):
    """A token's first character and the one after its last; tokens of one character share its span."""

    ids: list[int]
    spans: list[tuple[int, int]]


class WholeText(NamedTuple):
    """A text, or two, as an encoder reads them.

    ids         with the special tokens around them
    type_ids    which text each belongs to, as the vocabulary says: 0, and 1 in a second one
    num_cut     tokens that were left out at the texts' ends
    """

    ids: list[int]
    type_ids: list[int]
    num_cut: int


class Tokenizer:
    """A vocabulary with its BOS and EOS; what a user writes is never read as a control token.

    bos_id     None where the model was trained without one
    eos_ids    every token that ends a text; the first is the one to train on
    config     what `tokenizer_config.json` holds beside this class's own fields, kept for `save`
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        bos_id: int | None,
        eos_ids: Sequence[int],
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._backend = backend
        backend.encode_special_tokens = True
        backend.no_truncation()
        backend.no_padding()
        self.bos_id = bos_id
        self.eos_ids = tuple(eos_ids)
        self._config = dict(config or {})
        self._spelling = spelling_of(backend)
        added = backend.get_added_tokens_decoder()
        self._special_ids = {token_id for token_id, token in added.items() if token.special}
        self._user_ids = added.keys() - self._special_ids
        self._control_ids = matchable_ids(backend, self._special_ids)
        self._bytes_of: dict[int, bytes] = {}
        self._adds_space = (
            self.token_bytes(self.encode("a")[0]).startswith(b" ") if self.encode("a") else False
        )

    @cached_property
    def vocab_size(self) -> int:
        """One more than the highest id."""
        return max(self._backend.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all that decides which ids a text gets; equal for a tokenizer and its saved copy."""
        content = f"{self.bos_id} {self.eos_ids} {self._backend.to_str()}"
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def config(self) -> Mapping[str, Any]:
        """What its tokenizer_config.json holds, the names of its special tokens included."""
        return self._saved_config()

    @cached_property
    def control_tokens(self) -> Mapping[str, ControlToken]:
        """The tokens that no text holds, by how they are spelt."""
        added = self._backend.get_added_tokens_decoder()
        return {
            token.content: ControlToken(token_id, token.lstrip, token.rstrip)
            for token_id, token in added.items()
            if token.special
        }

    @cached_property
    def after_control(self) -> "Tokenizer":
        """The tokenizer of a text that stands behind a control token."""
        step = self._backend.pre_tokenizer
        return self.without_prefix() if step and is_put_once(json.loads(step.__getstate__())) else self

    def encode(self, text: str) -> list[int]:
        """The ids of `text` alone: no BOS, no EOS."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._encodings(texts)]

    def encode_whole(
        self, texts: Sequence[str | tuple[str, str]], max_tokens: int | None = None
    ) -> list[WholeText]:
        """Texts and pairs with the special tokens of the vocabulary's own template.

        Beyond `max_tokens`, special ones included, tokens are cut off the end of the longer text.
        """
        parts = [(text,) if isinstance(text, str) else text for text in texts]
        encodings = iter(self._encodings([text for pair in parts for text in pair]))
        return [self._whole([next(encodings) for _ in pair], max_tokens) for pair in parts]

    def encode_spans(self, texts: Sequence[str]) -> list[TokenSpans]:
        """The ids of each text and the characters that each was made from; slower than the ids alone."""
        encodings = self._whole_backend.encode_batch(list(texts), add_special_tokens=False)
        return [
            TokenSpans(encoding.ids, encoding.offsets)
            if self._control_ids.isdisjoint(encoding.ids)
            else self._plain_spans(text)
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def definition(self) -> dict[str, Any]:
        """The content of its tokenizer.json."""
        definition: dict[str, Any] = json.loads(self._backend.to_str())
        return definition

    def without_prefix(self) -> "Tokenizer":
        """The tokenizer of text that goes on from other text: no space is put before it."""
        steps = {"normalizer": self._backend.normalizer, "pre_tokenizer": self._backend.pre_tokenizer}
        # Alone: the vocabulary, nearly all of the definition, takes most of a second to read.
        stated = {name: step and json.loads(step.__getstate__()) for name, step in steps.items()}
        plain = {name: without_prefix(state) for name, state in stated.items()}
        if plain == stated:
            return self
        backend = tokenizers.Tokenizer.from_str(json.dumps({**self.definition(), **plain}))
        return Tokenizer(backend, bos_id=self.bos_id, eos_ids=self.eos_ids, config=self._config)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out; bytes that are no UTF-8 become U+FFFD."""
        text = b"".join(map(self.token_bytes, ids)).decode(errors="replace")
        return text[1:] if self._adds_space and text.startswith(" ") else text

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes the token stands for; none for a special token. They may end inside a character."""
        found = self._bytes_of.get(token_id)
        if found is None:
            found = self._bytes_of[token_id] = self._spell(token_id)
        return found

    def piece(self, token_id: int) -> str:
        """How the vocabulary spells the token; empty for an id it has no piece for."""
        return self._backend.id_to_token(token_id) or ""

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, as transformers' AutoTokenizer loads them."""
        write_text(folder / "tokenizer.json", self._backend.to_str())
        write_json(folder / "tokenizer_config.json", self._saved_config())

    def _plain_spans(self, text: str) -> TokenSpans:
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for start, part in plain_parts(self._whole_backend, text, self._control_ids):
            ids += part.ids
            spans += [(start + first, start + end) for first, end in part.offsets]
        return TokenSpans(ids, spans)

    def _encodings(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        try:
            encodings: list[tokenizers.Encoding] = self._backend.encode_batch_fast(
                list(texts), add_special_tokens=False
            )
        except TypeError:
            _check_characters(texts)
            raise
        if self._control_ids:
            for index, encoding in enumerate(encodings):
                if not self._control_ids.isdisjoint(encoding.ids):
                    parts = plain_parts(self._backend, texts[index], self._control_ids)
                    encodings[index] = tokenizers.Encoding.merge([part for _, part in parts])
        return encodings

    def _whole(self, encodings: list[tokenizers.Encoding], max_tokens: int | None) -> WholeText:
        num_special = self._backend.num_special_tokens_to_add(len(encodings) == 2)
        lengths = [len(encoding) for encoding in encodings]
        room = sum(lengths) if max_tokens is None else max(0, max_tokens - num_special)
        kept = _shortened(lengths, room)
        for encoding, length in zip(encodings, kept, strict=True):
            encoding.truncate(length)
        pair = encodings[1] if len(encodings) == 2 else None
        whole = self._backend.post_process(encodings[0], pair)
        return WholeText(whole.ids, whole.type_ids, sum(lengths) - sum(kept))

    @cached_property
    def _whole_backend(self) -> tokenizers.Tokenizer:
        """Without the step that takes spaces at a token's ends out of its span."""
        state = self.definition()
        if state["post_processor"] is None:
            return self._backend
        backend = tokenizers.Tokenizer.from_str(json.dumps({**state, "post_processor": None}))
        backend.encode_special_tokens = True
        return backend

    def _spell(self, token_id: int) -> bytes:
        piece = self._backend.id_to_token(token_id)
        # An id without a piece is a row that pads the embedding to a round number.
        if piece is None or token_id in self._special_ids:
            return b""
        if token_id in self._user_ids:
            return piece.replace("\u2581", " ").encode()
        return self._spelling.bytes_of(piece)

    def _saved_config(self) -> dict[str, Any]:
        names = {"bos_token": self.bos_id, "eos_token": self.eos_ids[0] if self.eos_ids else None}
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 10**30,
            **{
                name: self._backend.id_to_token(token_id)
                for name, token_id in names.items()
                if token_id is not None
            },
        }
        return config | self._config


def _shortened(lengths: list[int], room: int) -> list[int]:
    """The lengths, the longest cut first until they fit into `room`; of two the longer keeps an odd token."""
    if len(lengths) == 1 or sum(lengths) <= room:
        return [min(lengths[0], room), *lengths[1:]]
    first, second = lengths
    shorter = min(first, second, room // 2)
    return [shorter, room - shorter] if first <= second else [room - shorter, shorter]


def _check_characters(texts: Sequence[str]) -> None:
    for number, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"Text {number} holds {text[error.start]!r}, half of a surrogate pair, which is no "
                f"character. Read the text as UTF-8 with errors='replace'."
            ) from None
