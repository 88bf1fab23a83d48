"""Small texts and vocabularies that the tests of building and changing an index share."""

import random
from collections.abc import Sequence
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from potstill.corpus.vocabulary import ByteVocabulary, TokenizerVocabulary, Vocabulary
from potstill.tokenization.tokenizer import Tokenizer

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "the", "Dog", "ran", "to", "ünïcode", "漢字", "é"]


def tokenizer_vocabulary(*, lowercase: bool = False, prefix: bool = False) -> Vocabulary:
    """A byte-level BPE of some 300 tokens; with `lowercase` its tokens do not spell their bytes."""
    backend = tokenizers.Tokenizer(models.BPE())
    if lowercase:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    return TokenizerVocabulary(Tokenizer(backend, bos_id=None, eos_ids=(0,)))


VOCABULARIES = {
    "bytes": ByteVocabulary(),
    "tokenizer": tokenizer_vocabulary(),
    "prefix": tokenizer_vocabulary(prefix=True),
    "lowercase": tokenizer_vocabulary(lowercase=True),
}


def small_text(chance: random.Random) -> bytes:
    """Mostly words with repeats; sometimes nothing, and sometimes bytes that are no UTF-8."""
    kind = chance.random()
    if kind < 0.15:
        return b""
    words = " ".join(chance.choices(WORDS, k=chance.randrange(1, 40))).encode()
    return words + b"\xff\xfe" if kind < 0.3 else words


def write_texts(folder: Path, texts: Sequence[bytes], name: str = "text") -> list[Path]:
    """A file for each text, in an order that sorting keeps."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}-{number:03d}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    return paths


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its path there, locks apart."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
