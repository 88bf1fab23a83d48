"""Vocabularies that grammars are followed over in the tests."""

from collections.abc import Sequence

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from potstill.constraints.protocol import Constraint
from potstill.tokenization.tokenizer import Tokenizer

LINES = [
    '{"name": "Ann", "age": 31, "tags": ["red", "blue"], "is_open": true}',
    '{"city": "Oslo", "people": 709037, "kind": null, "is_open": false}',
    "The red bridge, closed since May, is open again. 12 of 40 are blue.",
]
NUM_SPARE_ROWS = 5


def byte_tokenizer(vocab_size: int = 400) -> Tokenizer:
    """All bytes, and words of JSON; the first two ids are controls, the second of them ends a text."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(LINES * 3, trainer)
    return Tokenizer(backend, bos_id=None, eos_ids=[1])


def letter_tokenizer(letters: str, merges: Sequence[tuple[str, str]] = (), eos: int = 1) -> Tokenizer:
    """A token a letter, then those that merges make, then `eos` tokens that end a text."""
    texts = [*letters, *("".join(pair) for pair in merges)]
    backend = tokenizers.Tokenizer(models.BPE({text: at for at, text in enumerate(texts)}, list(merges)))
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([f"<end {place}>" for place in range(eos)])
    return Tokenizer(backend, bos_id=None, eos_ids=range(len(texts), len(texts) + eos))


def spaced_tokenizer() -> Tokenizer:
    """A SentencePiece vocabulary that puts a space before a text, and bytes for what it has no piece for."""
    pieces = ["<eos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *"adeginopstv"]
    merges = [("\u2581", "p"), ("o", "s"), ("\u2581p", "os"), ("i", "t")]
    pieces += ["".join(pair) for pair in merges]
    model = models.BPE(
        {text: at for at, text in enumerate(pieces)}, merges, unk_token="<unk>", byte_fallback=True
    )
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens(["<eos>", "<unk>"])
    return Tokenizer(backend, bos_id=None, eos_ids=[0])


def allowed_ids(constraint: Constraint) -> list[int]:
    octets = constraint.allowed().astype("<i4").view(np.uint8)
    ids: list[int] = np.flatnonzero(np.unpackbits(octets, bitorder="little")).tolist()
    return ids
