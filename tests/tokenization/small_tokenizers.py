"""A tokenizer of each kind that encoders and T5 come with, trained on a few lines, as folders hold them."""

from pathlib import Path
from typing import Literal

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from potstill.files import write_json

LINES = [
    "The cat sat on the mat, and the dog did not.",
    "A city council voted on Monday to close the old bridge for repairs.",
    "Nothing in this sentence is about cats or bridges; it is about words.",
    "Words, words, words: 1, 2, 3 and 40 of them.",
]

Kind = Literal["unigram", "wordpiece", "byte bpe"]


def write_tokenizer(kind: Kind, folder: Path, vocab_size: int = 97) -> None:
    """tokenizer.json and tokenizer_config.json, with the template of T5, BERT or RoBERTa."""
    folder.mkdir(parents=True, exist_ok=True)
    backend, config = {"unigram": _unigram, "wordpiece": _wordpiece, "byte bpe": _byte_bpe}[kind](vocab_size)
    backend.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", config | {"tokenizer_class": "PreTrainedTokenizerFast"})


def _unigram(vocab_size: int) -> tuple[tokenizers.Tokenizer, dict[str, str]]:
    backend = tokenizers.Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    backend.train_from_iterator(
        LINES,
        trainers.UnigramTrainer(
            vocab_size=vocab_size, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return backend, {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def _wordpiece(vocab_size: int) -> tuple[tokenizers.Tokenizer, dict[str, str]]:
    backend = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    backend.train_from_iterator(
        LINES, trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False)
    )
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return backend, {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }


def _byte_bpe(vocab_size: int) -> tuple[tokenizers.Tokenizer, dict[str, str]]:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    backend.train_from_iterator(
        LINES, trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False)
    )
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return backend, {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
