"""Tokens of every kind of vocabulary spell the text that the library decodes."""

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from potstill.errors import DamagedError
from potstill.tokenization.tokenizer import Tokenizer

TEXT = "the ferries crossed the harbour before the ferry crossed again"


def trained(model, trainer, decoder) -> Tokenizer:
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if decoder is not None:
        backend.decoder = decoder
    backend.train_from_iterator([TEXT] * 4, trainer)
    return Tokenizer(backend, bos_id=None, eos_ids=[])


KINDS = {
    "WordPiece": lambda: trained(
        models.WordPiece(unk_token="[UNK]"),
        trainers.WordPieceTrainer(vocab_size=40, special_tokens=["[UNK]"], show_progress=False),
        decoders.WordPiece(),
    ),
    "word ends": lambda: trained(
        models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"),
        trainers.BpeTrainer(
            vocab_size=40, special_tokens=["[UNK]"], end_of_word_suffix="</w>", show_progress=False
        ),
        decoders.BPEDecoder(),
    ),
    "no decoder": lambda: trained(
        models.WordLevel(unk_token="[UNK]"),
        trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False),
        None,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_spell_the_text(kind):
    tokenizer = KINDS[kind]()
    assert tokenizer.decode(tokenizer.encode(TEXT)).strip() == TEXT


def test_a_wordpiece_that_goes_on_has_no_space():
    tokenizer = KINDS["WordPiece"]()
    pieces = {tokenizer.piece(token): tokenizer.token_bytes(token) for token in range(tokenizer.vocab_size)}
    assert pieces["##e"] == b"e"
    assert pieces["the"] == b" the"


def test_a_decoder_of_another_kind_is_refused():
    backend = tokenizers.Tokenizer(models.BPE())
    backend.decoder = decoders.CTC()
    with pytest.raises(DamagedError, match="CTC"):
        Tokenizer(backend, bos_id=None, eos_ids=[])
