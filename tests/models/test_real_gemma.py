"""The embedded Gemma against transformers, both in float32 from the same dequantised weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.errors import ModelMissing
from potstill.hub.resolve import resolve
from potstill.layers.attention import PackedAttention
from potstill.models.decoder import Decoder
from potstill.models.export import save_decoder
from potstill.models.load import load_decoder
from potstill.models.native_decoder import NativeRunner
from potstill.progress import Silent
from potstill.tokenization.load import load_tokenizer

pytestmark = [pytest.mark.weights, pytest.mark.slow]

NUM_NEW_TOKENS = 16
PROMPTS = [
    "The capital of France is",
    "Water boils at",
    "LONDON (Reuters) - Shares of",
    "Once upon a time there was a lighthouse keeper who",
    "def fibonacci(n):\n    ",
    "The recipe needs flour, eggs,",
    "Die Hauptstadt von Österreich ist",
    "El perro come",
    "1, 2, 3, 4,",
    "In 1969, the first humans",
    "The mayor said on Tuesday that the bridge would",
    "Q: Why is the sky blue?\nA:",
    "Heavy rain is expected in the north, while",
    "日本の首都は",
    "She opened the letter and",
    "The company reported a loss of",
    "To be, or not to be,",
    "The three primary colours are",
    "According to a new study, people who sleep",
    "A pot still is",
]


@pytest.fixture(scope="module")
def gemma() -> Path:
    try:
        return resolve("gemma-3-270m", progress=Silent()).path
    except ModelMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def decoder(gemma: Path) -> Decoder:
    return load_decoder(gemma, dtype=torch.float32)


@pytest.fixture(scope="module")
def exported(gemma: Path, decoder: Decoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "gemma"
    save_decoder(decoder, load_tokenizer(gemma), folder, dtype=torch.float32)
    return folder


@pytest.fixture(scope="module")
def continuations(exported: Path) -> list[list[int]]:
    """BOS, prompt and greedy tokens of each prompt, by transformers with its own cache."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is in the dependency group `oracles`"
    )
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported, padding_side="left")
    batch = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    assert (batch["input_ids"][:, -1] > 3).all()
    # An end of text in the middle is a token like any other here: its successor is compared as well.
    with torch.inference_mode():
        rows = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            do_sample=False,
            max_new_tokens=NUM_NEW_TOKENS,
            min_new_tokens=NUM_NEW_TOKENS,
        )
    lengths = batch["attention_mask"].sum(1).tolist()
    return [row[-length - NUM_NEW_TOKENS :].tolist() for row, length in zip(rows, lengths, strict=True)]


def test_our_greedy_tokens_are_those_of_transformers(
    gemma: Path, decoder: Decoder, continuations: list[list[int]]
) -> None:
    """One packed pass: if every argmax is the token that follows, greedy decoding gives these tokens."""
    tokenizer = load_tokenizer(gemma)
    lengths = [len(ids) for ids in continuations]
    token_ids = torch.tensor([token_id for ids in continuations for token_id in ids])
    with torch.inference_mode():
        hidden = decoder(token_ids, PackedAttention(lengths)).split(lengths)
        logits = [decoder.logits(rows[-NUM_NEW_TOKENS - 1 : -1]) for rows in hidden]
    for prompt, ids, rows in zip(PROMPTS, continuations, logits, strict=True):
        assert ids[:-NUM_NEW_TOKENS] == [tokenizer.bos_id, *tokenizer.encode(prompt)]
        # transformers takes the best token but the end of text, having been asked for a fixed length.
        allowed = rows.index_fill(1, torch.tensor(tokenizer.eos_ids), -torch.inf)
        assert allowed.argmax(-1).tolist() == ids[-NUM_NEW_TOKENS:], prompt


def test_our_logits_are_those_of_transformers(
    exported: Path, decoder: Decoder, continuations: list[list[int]]
) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is in the dependency group `oracles`"
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32)
    # Longer than the window of 512, so that it is crossed.
    token_ids = torch.tensor([token_id for ids in continuations for token_id in ids] * 2)[:700]
    with torch.inference_mode():
        expected = model(token_ids[None], logits_to_keep=8).logits[0]
        got = decoder.logits(decoder(token_ids, PackedAttention([len(token_ids)]))[-8:])
    assert expected.std() > 1
    torch.testing.assert_close(got, expected, atol=2e-3, rtol=0)


def test_the_native_program_gives_the_logits_of_the_modules(
    gemma: Path, decoder: Decoder, continuations: list[list[int]]
) -> None:
    """Longer than the window again; what eight bits a weight cost is told as a divergence in nats."""
    token_ids = torch.tensor([token_id for ids in continuations for token_id in ids] * 2)[:700]
    with torch.inference_mode():
        expected = decoder.logits(decoder(token_ids, PackedAttention([len(token_ids)]))[-64:])
        exact = NativeRunner.of(load_decoder(gemma, dtype=torch.float32), "fp32")
        got = exact.logits(exact.hidden_of_whole(token_ids, [len(token_ids)])[-64:])
        torch.testing.assert_close(got, expected, atol=2e-3, rtol=0)
        del exact
        rounded = NativeRunner.of(load_decoder(gemma, dtype=torch.bfloat16), "int8")
        logprobs = rounded.logits(rounded.hidden_of_whole(token_ids, [len(token_ids)])[-64:]).log_softmax(-1)
    wanted = expected.log_softmax(-1)
    assert (wanted.exp() * (wanted - logprobs)).sum(-1).mean() < 0.02
