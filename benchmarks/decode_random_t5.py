"""A T5 shaped like Flan-T5 base (or smaller) with random weights, as a folder in Hugging Face layout.

Its vocabulary has made-up words, so that both systems can be given ids. Drawn anew from a seed each time.

    python decode_random_t5.py FOLDER base|small
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

VOCABULARY = 32_128
NUM_WORDS = 32_100
SHAPES = {
    "base": {"d_model": 768, "d_ff": 2048, "d_kv": 64, "num_layers": 12, "num_heads": 12},
    "small": {"d_model": 64, "d_ff": 128, "d_kv": 16, "num_layers": 2, "num_heads": 4},
}


def make(folder: Path, shape: str) -> None:
    torch.manual_seed(0)
    config = T5Config(
        **SHAPES[shape],
        vocab_size=VOCABULARY,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config).eval()
    # As Flan-T5's is, the head is no copy of the embedding. The config still says tied, as transformers 5 has
    # it of every T5, and both systems take from this that hidden states are scaled before the head.
    model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, config.d_model))
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    special = ["<pad>", "</s>", "<unk>"]
    pieces = [(piece, 0.0) for piece in special]
    pieces += [(f"▁w{index}", -10.0) for index in range(len(special), NUM_WORDS)]
    backend = Tokenizer(models.Unigram(pieces, unk_id=2))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2])
