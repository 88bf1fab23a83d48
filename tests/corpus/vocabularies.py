"""Vocabularies of every kind that a corpus meets, small enough to be made for a test."""

from functools import cache

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from potstill.corpus.vocabulary import ByteVocabulary, TokenizerVocabulary, Vocabulary
from potstill.tokenization.tokenizer import Tokenizer

TEXT = "The quick brown fox jumps over the lazy dog; été, naïve, Straße.\nthe the dog's tail\r\n\n  日本語 𝄞"
METASPACE = "\u2581"


def _byte_level(normalizer=None, *, adds_space=False) -> Backend:
    backend = Backend(models.BPE())
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=adds_space)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([TEXT.lower(), TEXT], trainer)
    return backend


def _metaspace() -> Backend:
    """As SentencePiece models come: a space before the first word, bytes where a character has no piece."""
    texts = [
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        METASPACE,
        *"thequickbrownfx.",
        "th",
        "the",
    ]
    vocabulary = {text: token_id for token_id, text in enumerate([*texts, METASPACE + "the"])}
    merges = [("t", "h"), ("th", "e"), (METASPACE, "the")]
    backend = Backend(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=False))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend(METASPACE), normalizers.Replace(" ", METASPACE)]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace(METASPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return backend


def _lossy() -> Backend:
    """Lower case, composed, runs of white space made one: what a text was cannot be told from its tokens."""
    squeeze = normalizers.Replace(Regex(r"\s+"), " ")
    return _byte_level(normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase(), squeeze]))


@cache
def vocabulary(name: str) -> Vocabulary:
    if name == "bytes":
        return ByteVocabulary()
    make = {
        "byte-level": _byte_level,
        "byte-level with a prefix": lambda: _byte_level(adds_space=True),
        "lossy": _lossy,
        "metaspace": _metaspace,
    }[name]
    return TokenizerVocabulary(Tokenizer(make(), bos_id=None, eos_ids=[0]))


TOKENIZERS = ("byte-level", "byte-level with a prefix", "lossy", "metaspace")
NAMES = ("bytes", *TOKENIZERS)
