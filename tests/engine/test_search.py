"""Beam search in the engine: rows part, share blocks, are put out together, and find what one alone finds."""

import random

import pytest
import torch

from engine.naive_beams import naive_beams
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.errors import ConfigError, UsageError
from potstill.lm.context import Context
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.types import SamplingParams


def run(engine):
    finished = []
    for _ in range(10_000):
        if not engine.has_work:
            assert engine._blocks.num_free == engine.decoder.num_blocks
            return finished
        finished += engine.step()
    raise AssertionError("the engine does not come to an end")


def found(sequence):
    return [(tuple(one.output_ids), one.score) for one in (sequence, *sequence.others)]


def wanted(model, prompt, params, eos_ids=()):
    def logprobs_after(output_ids):
        return model.next_logprobs([Context(tuple(prompt), output_ids)])[0].tolist()

    texts = naive_beams(
        logprobs_after,
        num_beams=params.num_beams,
        max_tokens=params.max_tokens,
        length_penalty=params.length_penalty,
        eos_ids=eos_ids,
    )
    return texts[: params.n]


def assert_same(got, want):
    assert [ids for ids, _ in got] == [ids for ids, _ in want]
    assert [score for _, score in got] == pytest.approx([score for _, score in want], rel=1e-5)


def some_requests(count=12, seed=5):
    """Searches of several widths among drawn texts, many with a common beginning."""
    rng = random.Random(seed)
    shared = [rng.randrange(50) for _ in range(9)]
    for index in range(count):
        prompt = shared[: rng.randrange(10)] + [rng.randrange(50) for _ in range(rng.randrange(1, 5))]
        num_beams = rng.choice([1, 2, 3, 4])
        yield (
            prompt,
            SamplingParams(
                max_tokens=rng.randrange(1, 10),
                num_beams=num_beams,
                n=rng.randrange(1, num_beams + 1) if num_beams > 1 else 1,
                length_penalty=rng.choice([1.0, 0.0, 1.5]),
                seed=index,
            ),
        )


def assert_all_found(engine, requests, model, eos_ids=()):
    alone = Engine(Stateless(model), EngineParams(), eos_ids)
    asked = [(engine.add(prompt, params), prompt, params) for prompt, params in requests]
    finished = run(engine)
    assert {*finished} == {sequence for sequence, *_ in asked} and len(finished) == len(asked)
    for sequence, prompt, params in asked:
        if params.num_beams > 1:
            assert_same(found(sequence), wanted(model, prompt, params, eos_ids))
        else:
            drawn = alone.add(prompt, params)
            run(alone)
            assert sequence.output_ids == drawn.output_ids


@pytest.mark.parametrize(
    ("num_blocks", "settings"),
    [
        (400, {}),
        (64, {"max_batch": 4}),
        (26, {"max_batch": 8}),
        (64, {"max_batch": 8, "max_step_tokens": 8}),
    ],
)
def test_searches_among_drawn_texts_find_what_they_find_alone(
    num_blocks, settings, recalling_decoder, whole_context_model
):
    decoder = recalling_decoder(num_blocks=num_blocks)
    engine = Engine(decoder, EngineParams(**settings), eos_ids=[7, 11])
    assert_all_found(engine, some_requests(), whole_context_model, [7, 11])


def test_searches_that_are_put_out_find_the_same(recalling_decoder, whole_context_model):
    """Now and then one of a higher priority comes in and takes the rows of all others."""
    engine = Engine(recalling_decoder(num_blocks=64), EngineParams(max_batch=4))
    params = SamplingParams(num_beams=4, n=4, max_tokens=14)
    first = [engine.add([index] * 6, params) for index in range(3)]
    rushed = []
    for index in range(4):
        for _ in range(4):
            engine.step()
        rushed.append(engine.add([20 + index] * 3, params, priority=1 + index))
    run(engine)
    assert engine.stats.num_preemptions > 2
    for index, sequence in enumerate(first):
        assert_same(found(sequence), wanted(whole_context_model, [index] * 6, params))
    for index, sequence in enumerate(rushed):
        assert_same(found(sequence), wanted(whole_context_model, [20 + index] * 3, params))


def test_searches_that_outgrow_the_cache_find_the_same(recalling_decoder, whole_context_model):
    engine = Engine(recalling_decoder(num_blocks=32), EngineParams(max_batch=12))
    params = SamplingParams(num_beams=4, n=2, max_tokens=22)
    asked = [engine.add([index, 3], params) for index in range(5)]
    run(engine)
    assert engine.stats.num_preemptions > 0
    for index, sequence in enumerate(asked):
        assert_same(found(sequence), wanted(whole_context_model, [index, 3], params))


def test_a_prompt_is_run_once_for_all_its_beams_and_full_blocks_are_shared(recalling_decoder):
    decoder = recalling_decoder(num_blocks=200)
    engine = Engine(decoder, EngineParams())
    engine.add([1] * 30, SamplingParams(num_beams=8, max_tokens=4))
    run(engine)
    assert [len(rows) for rows in decoder.steps] == [1, 8, 8, 8]
    assert [sum(row.num_new for row in rows) for rows in decoder.steps] == [31, 8, 8, 8]
    for rows in decoder.steps[1:]:
        assert len({tuple(row.block_table[:7]) for row in rows}) == 1
    # The block that the prompt left half full is everyone's own, until it is full and is shared again.
    assert len({row.block_table[7] for row in decoder.steps[1]}) == 8
    assert engine.stats.num_blocks_peak <= 7 + 2 * 8


def test_a_cancelled_search_frees_its_blocks_at_once(recalling_decoder, whole_context_model):
    decoder = recalling_decoder(num_blocks=100)
    engine = Engine(decoder, EngineParams())
    prompts = [[9, index, 9] for index in range(3)]
    params = SamplingParams(num_beams=4, max_tokens=12)
    asked = [engine.add(prompt, params) for prompt in prompts]
    for _ in range(5):
        engine.step()
    free = engine._blocks.num_free
    engine.cancel(asked[1])
    assert engine._blocks.num_free > free
    assert set(run(engine)) == {asked[0], asked[2]}
    assert_same(found(asked[2]), wanted(whole_context_model, prompts[2], params))
    engine.cancel(asked[1])
    assert engine.stats.num_cancellations == 1


def test_a_search_that_finds_no_memory_ends_alone(recalling_decoder, whole_context_model):
    decoder = recalling_decoder()
    params = SamplingParams(num_beams=3, max_tokens=6)
    plain_step = decoder.step

    def step(rows):
        if any(row.context.prompt_ids == (1, 1) and len(row.context.output_ids) == 3 for row in rows):
            raise MemoryError("no room")
        return plain_step(rows)

    decoder.step = step
    engine = Engine(decoder, EngineParams())
    asked = [engine.add(prompt, params) for prompt in ([2, 2], [1, 1], [3, 3])]
    run(engine)
    assert [sequence.error is not None for sequence in asked] == [False, True, False]
    for sequence in (asked[0], asked[2]):
        assert_same(found(sequence), wanted(whole_context_model, sequence.prompt_ids, params))


def test_a_search_goes_on_where_memory_is_short_for_a_while(recalling_decoder, whole_context_model):
    """Its rows are then run in several calls, and choose once all of them have looked."""
    decoder = recalling_decoder()
    plain_step, rng = decoder.step, random.Random(3)

    def step(rows):
        if len(rows) > 1 and rng.random() < 0.5:
            raise MemoryError
        return plain_step(rows)

    decoder.step = step
    assert_all_found(Engine(decoder, EngineParams(), [7]), some_requests(6), whole_context_model, [7])


def test_an_n_gram_is_not_written_twice_by_any_beam(whole_context_model):
    engine = Engine(Stateless(TableModel({(): [90, 50, *[1] * 6]})), EngineParams())
    asked = engine.add([0], SamplingParams(num_beams=4, n=4, max_tokens=12, no_repeat_ngram_size=2))
    run(engine)
    for text in (asked, *asked.others):
        pairs = list(zip(text.output_ids, text.output_ids[1:], strict=False))
        assert len(set(pairs)) == len(pairs) == 11
        assert text.score * 12 == pytest.approx(text.logprob)


def test_a_penalty_on_repetition_moves_the_score_and_leaves_the_logprob():
    model = TableModel({(): [0.5, 0.3, 0.2]})
    engine = Engine(Stateless(model), EngineParams())
    asked = engine.add([0], SamplingParams(num_beams=2, max_tokens=2, repetition_penalty=10.0))
    run(engine)
    assert asked.output_ids == [0, 1]
    assert asked.logprob == pytest.approx(torch.tensor([0.5, 0.3]).log().sum().item())


def test_the_text_of_a_search_is_told_to_the_stop_rule_it_was_added_with():
    class Counting:
        def __init__(self, seen=()):
            self.seen = seen

        def push(self, token_id):
            self.seen += (token_id,)
            return self.seen[-2:] == (1, 1)

        def fork(self):
            return Counting(self.seen)

    engine = Engine(Stateless(TableModel({(): [0.2, 0.5, 0.3]})), EngineParams())
    asked = engine.add([0], SamplingParams(num_beams=3, n=3, max_tokens=6), Counting())
    run(engine)
    for text in (asked, *asked.others):
        assert text.stop.seen == tuple(text.output_ids)
    assert asked.output_ids == [1, 1] and asked.finish_reason == "stop"


def test_what_can_never_run_is_refused_with_its_numbers(recalling_decoder):
    engine = Engine(recalling_decoder(num_blocks=8, block_size=4), EngineParams(max_batch=4))
    with pytest.raises(UsageError, match="num_beams is 5; the engine runs 4 texts at once"):
        engine.add([1], SamplingParams(num_beams=5))
    with pytest.raises(UsageError, match="need 11 positions in each of 4 beams; the KV cache holds 32"):
        engine.add([1] * 6, SamplingParams(num_beams=4, max_tokens=5))
    with pytest.raises(ConfigError, match="num_logprobs is 2; a beam search tells none"):
        SamplingParams(num_beams=2, num_logprobs=2)
