from collections.abc import Sequence

import numpy as np
import pytest

from potstill.engine.drafts.prompt_lookup import PromptLookup
from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.params import EngineParams
from potstill.errors import MemoryFull, UsageError
from potstill.lm.context import Context
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import SamplingParams, TextRequest

EOS = 256


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


def test_a_second_call_while_one_is_being_read_is_refused_and_the_first_goes_on(generator):
    requests = [TextRequest(prompt, SamplingParams()) for prompt in CONTINUATIONS]
    first, second = generator.complete(requests), generator.stream(requests)
    found = [next(first)]
    with pytest.raises(UsageError, match="still writes . texts of an earlier call"):
        next(second)
    found += first
    assert {index: done.text for index, done in found} == dict(enumerate(CONTINUATIONS.values()))


def test_an_interrupt_while_a_text_is_taken_in_leaves_the_engine_free(generator, monkeypatch):
    add = generator.engine.add

    def interrupted(*given, **named):
        add(*given, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(generator.engine, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        complete(generator, ("plain:", {}))
    monkeypatch.undo()
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


def test_a_token_that_the_model_does_not_have_is_refused_by_its_requests_number(tokenizer):
    engine = Engine(Stateless(TableModel({(): [1.0] * 80})), EngineParams())
    requests = [TextRequest(prompt, SamplingParams(max_tokens=2)) for prompt in ("A", "z")]
    assert tokenizer.encode("A")[0] < 80 <= tokenizer.encode("z")[0]
    with pytest.raises(UsageError, match="Request 1: The prompt holds token"):
        list(EngineGenerator(engine, tokenizer).complete(requests))
    assert not engine.has_work


def test_ids_are_read_in_a_prompts_place(generator, tokenizer):
    ids = tuple(tokenizer.encode("lines:"))
    asked = [TextRequest("plain:", SamplingParams(), prompt_ids=ids), TextRequest("plain:", SamplingParams())]
    found = dict(generator.complete(asked))
    assert [found[0].text, found[1].text] == [" first\nsecond", " one two"]
    too_long = TextRequest("", SamplingParams(max_tokens=2**30), prompt_ids=ids)
    with pytest.raises(UsageError, match="Request 0: A prompt of 6 tokens"):
        generator.complete([too_long])


@pytest.mark.parametrize("keeps_cache", [False, True])
def test_a_cache_that_is_kept_spares_what_prompts_have_in_common(tokenizer, keeps_cache):
    texts = {"lines: " * 9: " first", "lines: " * 9 + "first, and": " then"}
    decoder = Stateless(Script(tokenizer, texts), num_blocks=32, block_size=16)
    engine = Engine(decoder, EngineParams(), tokenizer.eos_ids)
    asked = EngineGenerator(engine, tokenizer, keeps_cache=keeps_cache)
    for prompt, text in texts.items():
        ((_, found),) = asked.complete([TextRequest(prompt, SamplingParams())])
        assert found.text == text
    assert (engine.stats.num_prompt_tokens_shared > 0) == keeps_cache


def test_no_requests_give_no_completions(generator):
    assert complete(generator) == {}


def streamed(pieces):
    """The joined pieces of each text and its completion, by (request, sample)."""
    texts, completions = {}, {}
    for request_index, sample, text, completion in pieces:
        assert (request_index, sample) not in completions, "a piece after the last"
        texts[request_index, sample] = texts.get((request_index, sample), "") + text
        if completion:
            completions[request_index, sample] = completion
    assert texts.keys() == completions.keys()
    return texts, completions


def test_pieces_joined_are_the_completions_text(generator):
    settings = [{}, {"stop": ("t\ns",)}, {"stop_at_first_sentence": True}, {"max_tokens": 4}, {}]
    prompts = ["plain:", "lines:", "sentence:", "émigré:", "émigré:"]
    requests = [TextRequest(p, SamplingParams(**s)) for p, s in zip(prompts, settings, strict=True)]
    texts, completions = streamed(generator.stream(requests))
    assert {key[0]: done for key, done in completions.items()} == dict(generator.complete(requests))
    assert {key: done.text for key, done in completions.items()} == texts


def test_text_is_shown_as_soon_as_it_cannot_be_a_stop_text(generator):
    request = TextRequest("lines:", SamplingParams(stop=("t\nx", "\nsec")))
    pieces = [piece.text for piece in generator.stream(request)]
    # A "t" may begin the first stop text, the line break goes on with it, "\ns" may begin the second.
    assert [piece for piece in pieces if piece] == [" ", "f", "i", "r", "s", "t"]


def test_characters_of_several_tokens_come_whole(generator):
    pieces = [piece.text for piece in generator.stream(TextRequest("émigré:", SamplingParams()))]
    assert "".join(pieces) == " déjà vu 水" and all(len(piece) <= 1 for piece in pieces)


def test_a_stream_that_is_closed_gives_its_texts_up(generator):
    pieces = generator.stream([TextRequest(prompt, SamplingParams()) for prompt in CONTINUATIONS])
    next(pieces)
    pieces.close()
    assert not generator.engine.has_work and generator.engine.stats.num_cancellations > 0
    assert complete(generator, ("plain:", {}))[0].text == " one two"


def test_a_stream_refuses_what_could_never_run_before_any_work(generator):
    with pytest.raises(UsageError, match="Request 0: .* need"):
        generator.stream(TextRequest("plain:", SamplingParams(max_tokens=2**30)))


class Letters:
    """Writes letters, each as likely as the others."""

    vocab_size = 257

    def next_logprobs(self, contexts):
        logprobs = np.full((len(contexts), 257), -np.inf, dtype=np.float32)
        logprobs[:, 65:91] = -np.log(26)
        return logprobs


def test_several_texts_of_one_prompt_are_drawn_each_by_its_own_seed(tokenizer):
    generator = EngineGenerator(Engine(Stateless(Letters()), EngineParams(max_batch=3)), tokenizer)
    several = SamplingParams(n=4, seed=5, max_tokens=12)
    request = TextRequest("plain:", several)
    found = {done.sample: done.text for _, done in generator.complete([request])}
    assert sorted(found) == [0, 1, 2, 3] and len(set(found.values())) == 4
    (alone,) = generator.complete([TextRequest("plain:", SamplingParams(seed=5, max_tokens=12))])
    assert found[0] == alone[1].text
    again = {(index, done.sample): done.text for index, done in generator.complete([request, request])}
    assert again == {(index, sample): text for index in (0, 1) for sample, text in found.items()}
    texts, _ = streamed(generator.stream(request))
    assert texts == {(0, sample): text for sample, text in found.items()}


def test_asked_for_log_probabilities_stand_at_each_token(tokenizer):
    generator = EngineGenerator(Engine(Stateless(Letters()), EngineParams()), tokenizer)
    request = TextRequest("plain:", SamplingParams(num_logprobs=3, max_tokens=5))
    ((_, done),) = generator.complete([request])
    assert [told.token_id for told in done.logprobs] == list(done.token_ids)
    assert all(len(told.likeliest) == 3 for told in done.logprobs)
    assert sum(told.logprob for told in done.logprobs) == pytest.approx(done.logprob)


class Narrow:
    """Finds no memory for a prompt of more than ten tokens, whatever runs beside it."""

    def __init__(self, decoder):
        self.decoder = decoder

    def __getattr__(self, name):
        return getattr(self.decoder, name)

    def step(self, rows):
        if any(len(row.context.prompt_ids) > 10 for row in rows):
            raise MemoryError("no room for this")
        return self.decoder.step(rows)


def test_requests_without_memory_are_named_after_the_others_are_written(tokenizer):
    engine = Engine(Narrow(Stateless(Letters())), EngineParams(max_batch=4))
    generator = EngineGenerator(engine, tokenizer)
    prompts = ["plain:", "x" * 11, "lines:", "y" * 20]
    requests = [TextRequest(prompt, SamplingParams(max_tokens=5)) for prompt in prompts]
    written = generator.complete(requests)
    found = dict([next(written), next(written)])
    with pytest.raises(MemoryFull, match=r"Request 1: .*no room for this.*goes for 1 more"):
        next(written)
    assert sorted(found) == [0, 2] and not engine.has_work
    assert dict(generator.complete(requests[:1])) == {0: found[0]}


def test_a_search_gives_its_best_texts_each_cut_where_it_ends(tokenizer):
    ids = {letter: tokenizer.encode(letter)[0] for letter in "ab"}
    row = [0.0] * 257
    row[ids["a"]], row[ids["b"]], row[EOS] = 0.5, 0.3, 0.2
    engine = Engine(Stateless(TableModel({(): row})), EngineParams(), tokenizer.eos_ids)
    generator = EngineGenerator(engine, tokenizer)
    params = SamplingParams(num_beams=4, n=3, max_tokens=4, stop=("ab",))
    asked = [TextRequest("x", params), TextRequest("y", SamplingParams(max_tokens=2, seed=1))]
    found = sorted(generator.complete(asked), key=lambda one: (one[0], one[1].sample))
    assert [(index, done.sample) for index, done in found] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    for _, done in found[:3]:
        written = tokenizer.decode([token_id for token_id in done.token_ids if token_id != EOS])
        assert done.text == written.partition("ab")[0]
        assert "ab" not in written[:-2]
    assert len({done.token_ids for _, done in found[:3]}) == 3
    scores = [done.logprob / len(done.token_ids) for _, done in found[:3]]
    assert scores == sorted(scores, reverse=True)
    pieces = list(generator.stream(asked[0]))
    assert [piece.text for piece in pieces] == [done.text for _, done in found[:3]]


def test_a_draft_changes_no_completion_and_no_piece_but_the_number_of_steps(tokenizer):
    class GoingOn(Script):
        """The same letters over and over, whatever stands there."""

        def next_logprobs(self, contexts):
            places = [context.cut(context.num_output % 24) for context in contexts]
            return super().next_logprobs(places)

    def written(drafter):
        model = GoingOn(tokenizer, {"abcd": "abcd, abcd, abcd, abcd, "})
        engine = Engine(Stateless(model), EngineParams(), tokenizer.eos_ids, drafter, clock=lambda: 0.0)
        generator = EngineGenerator(engine, tokenizer)
        settings = (
            {"n": 3},
            {"stop": ("d, ab",)},
            {"num_logprobs": 2, "temperature": 0.5},
            {"max_tokens": 50},
        )
        asked = [TextRequest("abcd", SamplingParams(**{"max_tokens": 40, **given})) for given in settings]
        pieces = list(generator.stream(asked))
        for index, sample in {(piece.request_index, piece.sample) for piece in pieces}:
            own = [piece for piece in pieces if (piece.request_index, piece.sample) == (index, sample)]
            assert "".join(piece.text for piece in own) == own[-1].completion.text
        found = sorted(generator.complete(asked), key=lambda one: (one[0], one[1].sample))
        return found, engine.stats.num_steps

    plain, num_steps = written(None)
    drafted, num_drafted_steps = written(PromptLookup(257))
    assert drafted == plain and len(plain) == 6
    assert plain[3][1].text == "abc" and plain[3][1].finish_reason == "stop"
    assert num_drafted_steps < num_steps / 2
