from collections.abc import Sequence

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.params import EngineParams
from potstill.errors import UsageError
from potstill.lm.context import Context
from potstill.lm.stateless import Stateless
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import SamplingParams, TextRequest

EOS = 256


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A token a byte, and an end."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(models.BPE({char: index for index, char in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([tokenizers.AddedToken("<eos>", special=True)])
    return Tokenizer(backend, bos_id=None, eos_ids=(EOS,))


class Script:
    """Goes on from each known prompt with its one continuation, then ends."""

    vocab_size = 257

    def __init__(self, tokenizer: Tokenizer, continuations: dict[str, str]) -> None:
        self._ids = {
            tuple(tokenizer.encode(prompt)): (*tokenizer.encode(text), EOS)
            for prompt, text in continuations.items()
        }

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        logprobs = np.full((len(contexts), self.vocab_size), -np.inf, dtype=np.float32)
        for row, context in zip(logprobs, contexts, strict=True):
            row[self._ids[context.prompt_ids][len(context.output_ids)]] = 0
        return logprobs


CONTINUATIONS = {
    "plain:": " one two",
    "lines:": " first\nsecond",
    "sentence:": " Dr. Jones left. She went home.",
    "émigré:": " déjà vu 水",
}


@pytest.fixture
def generator(tokenizer):
    engine = Engine(Stateless(Script(tokenizer, CONTINUATIONS)), EngineParams(max_batch=2), tokenizer.eos_ids)
    return EngineGenerator(engine, tokenizer)


def complete(generator, *asked):
    return dict(generator.complete([TextRequest(prompt, SamplingParams(**given)) for prompt, given in asked]))


def test_texts_come_back_under_their_requests_number(generator):
    found = complete(generator, *[(prompt, {}) for prompt in CONTINUATIONS])
    assert {index: done.text for index, done in found.items()} == dict(enumerate(CONTINUATIONS.values()))
    assert all(done.finish_reason == "stop" for done in found.values())


def test_a_completion_holds_every_token_drawn_the_end_included(generator, tokenizer):
    (done,) = complete(generator, ("plain:", {})).values()
    assert done.token_ids == (*tokenizer.encode(" one two"), EOS) and done.logprob == 0


def test_stop_texts_and_first_sentences_are_cut(generator):
    found = complete(
        generator,
        ("lines:", {"stop": ("t\ns",)}),
        ("sentence:", {"stop_at_first_sentence": True}),
        ("plain:", {"max_tokens": 4}),
    )
    assert [found[index].text for index in range(3)] == [" firs", "Dr. Jones left.", " one"]
    assert [found[index].finish_reason for index in range(3)] == ["stop", "stop", "length"]


def test_a_character_cut_in_two_by_max_tokens_is_left_out(generator):
    (done,) = complete(generator, ("émigré:", {"max_tokens": 3})).values()
    assert done.text == " d" and len(done.token_ids) == 3


def test_hundreds_of_requests_are_taken_in_a_few_at_a_time(generator, monkeypatch):
    encoded, finished = [], 0
    encode_batch = generator.tokenizer.encode_batch
    monkeypatch.setattr(
        generator.tokenizer, "encode_batch", lambda texts: encoded.extend(texts) or encode_batch(texts)
    )
    for _ in generator.complete([TextRequest("plain:", SamplingParams())] * 300):
        finished += 1
        assert len(encoded) <= finished + 64 + 4
    assert finished == 300


def test_an_iterator_that_is_closed_early_leaves_the_engine_free(generator):
    found = generator.complete([TextRequest(prompt, SamplingParams()) for prompt in CONTINUATIONS])
    next(found)
    found.close()
    assert not generator.engine.has_work
    assert complete(generator, ("plain:", {}))[0].text == " one two"


def test_a_request_too_long_is_refused_before_any_work(tokenizer):
    decoder = Stateless(Script(tokenizer, CONTINUATIONS), num_blocks=2, block_size=16)
    generator = EngineGenerator(Engine(decoder, EngineParams(), tokenizer.eos_ids), tokenizer)
    requests = [TextRequest("plain:", SamplingParams(max_tokens=9)), TextRequest("x" * 30, SamplingParams())]
    with pytest.raises(UsageError, match="Request 1: A prompt of 30 tokens .* the KV cache holds 32"):
        generator.complete(requests)
    assert generator.engine.stats.num_steps == 0


def test_a_prompt_that_is_no_text_is_refused_by_its_number(generator):
    with pytest.raises(UsageError, match="Request 1: character 6 of the prompt is no text"):
        generator.complete(
            [TextRequest("plain:", SamplingParams()), TextRequest("plain:\udcff", SamplingParams())]
        )


def test_no_requests_give_no_completions(generator):
    assert complete(generator) == {}
