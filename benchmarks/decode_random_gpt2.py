"""GPT-2 of any size with random weights, as a folder in Hugging Face layout.

python decode_random_gpt2.py FOLDER WIDTH LAYERS POSITIONS
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

VOCABULARY = 50_257
HEAD_SIZE = 64


def make(folder: Path, width: int, layers: int, positions: int) -> None:
    torch.manual_seed(0)
    config = GPT2Config(
        n_embd=width, n_layer=layers, n_head=width // HEAD_SIZE, n_positions=positions, bos_token_id=None
    )
    GPT2LMHeadModel(config).eval().save_pretrained(folder)
    words = {f"w{index}": index for index in range(VOCABULARY)}
    backend = Tokenizer(models.WordLevel(words, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="w0").save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
