"""Texts that are run in pieces, put out, given up or short of memory end as if they were alone."""

import random

import pytest
import torch

from lm.naive_index import NaiveIndex
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.engine.placement import Placement
from potstill.errors import MemoryFull, UsageError
from potstill.lm.infinigram import InfinigramModel
from potstill.lm.interpolated import InterpolatedModel
from potstill.lm.interpolation import Interpolation
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.types import SamplingParams


def some_requests(count=24):
    """Nearly equal prompts, so that much is shared and a mix-up shows."""
    rng = random.Random(3)
    for seed in range(count):
        prompt = [rng.choice((1, 1, 1, 2)) for _ in range(rng.randrange(1, 30))]
        yield prompt, SamplingParams(max_tokens=rng.randrange(1, 20), seed=seed, temperature=seed % 3 * 0.6)


def alone(asked, model):
    engine = Engine(Stateless(model), EngineParams(max_batch=1))
    sequence = engine.add(*asked)
    while engine.has_work:
        engine.step()
    return sequence.output_ids, pytest.approx(sequence.logprob, abs=1e-4)


def run(engine, most_steps=5000):
    """All texts in the engine to their ends."""
    ended = []
    for _ in range(most_steps):
        if not engine.has_work:
            return ended
        ended += engine.step()
    raise AssertionError("the engine does not come to an end")


@pytest.fixture(scope="module")
def expected():
    from engine.conftest import WholeContextModel

    return [alone(asked, WholeContextModel()) for asked in some_requests()]


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
@pytest.mark.parametrize(
    ("num_blocks", "max_batch", "max_step_tokens"),
    [(200, 8, 2048), (200, 8, 8), (200, 8, 11), (20, 8, 2048), (20, 8, 9), (14, 3, 5)],
)
def test_pieces_and_preemption_change_no_text(
    kind, num_blocks, max_batch, max_step_tokens, request, expected
):
    decoder = request.getfixturevalue(kind)(num_blocks=num_blocks)
    engine = Engine(decoder, EngineParams(max_batch=max_batch, max_step_tokens=max_step_tokens))
    sequences = [engine.add(*asked) for asked in some_requests()]
    run(engine)
    assert [(one.output_ids, one.logprob) for one in sequences] == expected
    assert (engine.stats.num_preemptions > 0) == (num_blocks < 200)
    if not decoder.encodes_prompt:
        for rows in decoder.steps:
            assert sum(row.num_new for row in rows) <= max_step_tokens


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
@pytest.mark.parametrize("seed", range(3))
def test_priorities_and_texts_given_up_change_no_other_text(kind, seed, request, expected):
    rng = random.Random(seed)
    decoder = request.getfixturevalue(kind)(num_blocks=24)
    engine = Engine(decoder, EngineParams(max_batch=6, max_step_tokens=12))
    asked, kept = list(some_requests()), {}
    for index in rng.sample(range(len(asked)), len(asked)):
        kept[index] = engine.add(*asked[index], priority=rng.randrange(3))
        victim = engine.add(*rng.choice(asked), priority=rng.randrange(3))
        for _ in range(rng.randrange(3)):
            engine.step()
        engine.cancel(victim)
    run(engine)
    assert [(kept[index].output_ids, kept[index].logprob) for index in range(len(asked))] == expected


def test_a_prompt_is_encoded_once_for_all_its_texts(recalling_encoder_decoder):
    decoder = recalling_encoder_decoder()
    engine = Engine(decoder, EngineParams())
    for seed in range(5):
        engine.add(range(9), SamplingParams(max_tokens=6, seed=seed))
    run(engine)
    assert decoder.num_encoded == 1


def test_a_prompt_longer_than_the_encoder_reads_is_refused(recalling_encoder_decoder):
    decoder = recalling_encoder_decoder(max_prompt_tokens=8, max_positions=6)
    engine = Engine(decoder, EngineParams())
    with pytest.raises(UsageError, match="prompt of 9 tokens is longer than the 8"):
        engine.add(range(9), SamplingParams(max_tokens=2))
    with pytest.raises(UsageError, match="need 7 positions; the model's context has 6"):
        engine.add(range(8), SamplingParams(max_tokens=7))
    with pytest.raises(UsageError, match="empty"):
        engine.add([], SamplingParams(max_tokens=2))
    with pytest.raises(UsageError, match="need 17 positions; the KV cache holds 16"):
        Engine(recalling_encoder_decoder(num_blocks=6), EngineParams()).add(
            range(5), SamplingParams(max_tokens=17)
        )


def test_what_is_cancelled_frees_its_blocks_at_once_and_is_never_handed_over(recalling_decoder):
    decoder = recalling_decoder(num_blocks=8)
    engine = Engine(decoder, EngineParams(max_batch=1))
    first, second = (engine.add(range(20), SamplingParams(max_tokens=9)) for _ in range(2))
    engine.step()
    engine.cancel(first)
    assert (engine.num_running, engine.num_waiting) == (0, 1)
    engine.cancel(second)
    assert not engine.has_work and engine.step() == []
    # Seven of eight blocks are needed, so both must have left theirs.
    third = engine.add(range(30, 50), SamplingParams(max_tokens=9))
    assert run(engine) == [third]
    engine.cancel(third)
    assert third.finish_reason == "length" and engine.stats.num_cancellations == 2


class OutOfMemory:
    """Runs `decoder` and raises where `is_too_much(rows)`."""

    def __init__(self, decoder, is_too_much, error=MemoryError):
        self.decoder, self.is_too_much, self.error = decoder, is_too_much, error
        self.num_failures = 0

    def __getattr__(self, name):
        return getattr(self.decoder, name)

    def step(self, rows):
        if self.is_too_much(rows):
            self.num_failures += 1
            raise self.error("CUDA out of memory. Tried to allocate 2 GiB")
        return self.decoder.step(rows)


TOO_MUCH = {
    "more than two rows": lambda rows: len(rows) > 2,
    "more than five positions": lambda rows: sum(row.num_new for row in rows) > 5,
    "more than a position": lambda rows: sum(row.num_new for row in rows) > 1,
}


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, torch.OutOfMemoryError])
@pytest.mark.parametrize("reason", TOO_MUCH)
def test_a_step_too_large_for_memory_is_run_in_smaller_calls(error, reason, recalling_decoder, expected):
    decoder = OutOfMemory(recalling_decoder(num_blocks=80), TOO_MUCH[reason], error)
    engine = Engine(decoder, EngineParams(max_batch=8, max_step_tokens=32))
    sequences = [engine.add(*asked) for asked in some_requests()]
    run(engine)
    assert [(one.output_ids, one.logprob) for one in sequences] == expected
    # What it has learnt is kept for a while instead of failing in each step.
    assert 0 < decoder.num_failures < engine.stats.num_steps / 3


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
def test_a_text_that_finds_no_memory_alone_ends_and_the_others_go_on(kind, request, expected):
    def is_too_much(rows):
        return any(len(row.context.output_ids) >= 3 and len(row.context.prompt_ids) > 20 for row in rows)

    decoder = OutOfMemory(request.getfixturevalue(kind)(num_blocks=80), is_too_much)
    engine = Engine(decoder, EngineParams(max_batch=8, max_step_tokens=32))
    sequences = [engine.add(*asked) for asked in some_requests()]
    ended = run(engine)
    assert sorted(map(id, ended)) == sorted(map(id, sequences))
    failed = [one for one in sequences if one.error is not None]
    assert 0 < len(failed) < len(sequences)
    for sequence, (output_ids, logprob) in zip(sequences, expected, strict=True):
        if sequence.error is None:
            assert (sequence.output_ids, sequence.logprob) == (output_ids, logprob)
        else:
            assert isinstance(sequence.error, MemoryFull) and sequence.finish_reason is None
            assert len(sequence.prompt_ids) > 20 and sequence.output_ids == output_ids[:3]
    assert not engine.has_work


def test_a_text_without_a_part_in_a_step_counts_on_nothing_that_a_failed_one_was_to_fill(
    recalling_decoder, whole_context_model
):
    decoder = OutOfMemory(
        recalling_decoder(), lambda rows: any(len(r.context.prompt_ids) == 41 for r in rows)
    )
    engine = Engine(decoder, EngineParams(max_step_tokens=12))
    asked = range(40), SamplingParams(max_tokens=5)
    first = engine.add(*asked)
    engine.step()
    # It takes the whole step, and fails; the first was to go on from what it fills.
    second = engine.add(range(41), SamplingParams(max_tokens=5), priority=1)
    assert engine.step() == [second] and isinstance(second.error, MemoryFull)
    assert run(engine) == [first]
    assert (first.output_ids, first.logprob) == alone(asked, whole_context_model)


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
@pytest.mark.parametrize("name", ["settle", "cover", "clear", "make_findable"])
def test_an_interrupt_while_blocks_are_dealt_out_leaves_the_engine_usable(
    kind, name, request, monkeypatch, expected
):
    plain, num_calls = getattr(Placement, name), 0

    def interrupted(*given):
        nonlocal num_calls
        num_calls += 1
        result = plain(*given)
        if num_calls == 5:
            raise KeyboardInterrupt
        return result

    engine = Engine(
        request.getfixturevalue(kind)(num_blocks=40), EngineParams(max_batch=8, max_step_tokens=16)
    )
    for asked in some_requests():
        engine.add(*asked)
    monkeypatch.setattr(Placement, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(engine)
    assert not engine.has_work and engine._blocks.num_free == 40
    sequences = [engine.add(*asked) for asked in some_requests()]
    run(engine)
    assert [(one.output_ids, one.logprob) for one in sequences] == expected


def test_another_error_empties_the_engine_and_leaves_it_usable(recalling_decoder, expected):
    decoder = OutOfMemory(recalling_decoder(), lambda rows: len(decoder.steps) == 5, KeyboardInterrupt)
    engine = Engine(decoder, EngineParams(max_batch=8))
    for asked in some_requests():
        engine.add(*asked)
    with pytest.raises(KeyboardInterrupt):
        run(engine)
    assert not engine.has_work
    decoder.is_too_much = lambda rows: False
    sequences = [engine.add(*asked) for asked in some_requests()]
    run(engine)
    assert [(one.output_ids, one.logprob) for one in sequences] == expected


def infinigram():
    rng = random.Random(6)
    return InfinigramModel(NaiveIndex([[rng.randrange(6) for _ in range(60)] for _ in range(4)], 6))


def table():
    return TableModel({(): [1, 2, 3, 1, 1, 2], (1,): [0, 0, 1, 3, 1, 0], (1, 2): [5, 1, 1, 0, 0, 1]})


@pytest.mark.parametrize(
    "model",
    [table(), infinigram(), InterpolatedModel(infinigram(), table(), Interpolation(0.6, 0.2))],
    ids=["table", "infinigram", "interpolated"],
)
def test_any_next_token_model_writes_in_batches_what_it_writes_alone(model):
    asked = [([seed % 6, 1, 2], SamplingParams(max_tokens=9, seed=seed)) for seed in range(9)]
    engine = Engine(
        Stateless(model, num_blocks=12, block_size=4), EngineParams(max_batch=5, max_step_tokens=7)
    )
    sequences = [engine.add(*one) for one in asked]
    run(engine)
    assert [(one.output_ids, one.logprob) for one in sequences] == [alone(one, model) for one in asked]
