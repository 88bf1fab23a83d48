import random

import pytest

from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.errors import ConfigError, UsageError
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.types import SamplingParams


def write(engine, asked):
    """The outputs of (prompt, params) pairs, all in one batch."""
    sequences = [engine.add(prompt, params) for prompt, params in asked]
    for _ in range(10_000):
        if not engine.has_work:
            return sequences
        engine.step()
    raise AssertionError("the engine does not come to an end")


def outputs(engine, asked):
    return [sequence.output_ids for sequence in write(engine, asked)]


def some_requests(count=40, shared=11):
    rng = random.Random(3)
    few_shot = [rng.randrange(50) for _ in range(shared)]
    return [
        (
            few_shot + [rng.randrange(50) for _ in range(rng.randrange(6))],
            SamplingParams(
                max_tokens=rng.randrange(1, 12),
                seed=seed,
                temperature=rng.choice([0, 0.7, 1.3]),
                top_k=rng.choice([0, 5]),
                top_p=rng.choice([0.8, 1]),
                min_p=rng.choice([0, 0.05]),
                repetition_penalty=rng.choice([1, 1.2]),
                no_repeat_ngram_size=rng.choice([0, 2]),
            ),
        )
        for seed in range(count)
    ]


@pytest.mark.parametrize("max_batch", [2, 7, 64])
def test_a_seed_gives_the_same_tokens_whatever_the_batch(max_batch, whole_context_model):
    one_by_one = [
        outputs(Engine(Stateless(whole_context_model), EngineParams(max_batch=1)), [asked])[0]
        for asked in some_requests()
    ]
    together = Engine(Stateless(whole_context_model), EngineParams(max_batch=max_batch))
    assert outputs(together, some_requests()) == one_by_one


@pytest.mark.parametrize(("num_blocks", "max_step_tokens"), [(64, 2048), (9, 2048), (64, 8)])
def test_a_decoder_that_reads_its_blocks_writes_what_a_stateless_one_writes(
    num_blocks, max_step_tokens, recalling_decoder, whole_context_model
):
    plain = outputs(Engine(Stateless(whole_context_model), EngineParams()), some_requests())
    decoder = recalling_decoder(num_blocks=num_blocks)
    engine = Engine(decoder, EngineParams(max_batch=8, max_step_tokens=max_step_tokens))
    assert outputs(engine, some_requests()) == plain
    assert engine.stats.num_prompt_tokens_shared > 0


def test_a_shared_beginning_is_run_once_even_by_prompts_of_one_step(recalling_decoder):
    decoder = recalling_decoder(block_size=4)
    engine = Engine(decoder, EngineParams(max_batch=8))
    prompt = list(range(11))  # 12 positions with the model's own first one
    outputs(engine, [([*prompt, last], SamplingParams(max_tokens=1)) for last in range(8)])
    assert [row.num_new for row in decoder.steps[0]] == [13] + [1] * 7
    assert engine.stats.num_prompt_tokens_shared == 7 * 12


def test_rows_are_refilled_as_soon_as_they_finish(recalling_decoder):
    decoder = recalling_decoder()
    engine = Engine(decoder, EngineParams(max_batch=2))
    outputs(engine, [([1], SamplingParams(max_tokens=length)) for length in (1, 6, 2, 3)])
    assert [len(rows) for rows in decoder.steps] == [2] * 6
    assert engine.stats.num_tokens_generated == 12 and engine.stats.mean_rows == 2


def test_a_step_runs_no_more_positions_than_allowed_but_a_long_prompt_still_runs(recalling_decoder):
    decoder = recalling_decoder()
    engine = Engine(decoder, EngineParams(max_batch=8, max_step_tokens=10))
    outputs(engine, [([seed] * 5, SamplingParams(max_tokens=3, seed=seed)) for seed in range(6)])
    outputs(engine, [([30 + seed] * 20, SamplingParams(max_tokens=3)) for seed in range(2)])
    for rows in decoder.steps:
        assert sum(row.num_new for row in rows) <= 10 or len(rows) == 1


def test_eos_ends_a_text():
    engine = Engine(Stateless(TableModel({(): [0, 1, 0], (1,): [0, 0, 1]})), EngineParams(), eos_ids=[2])
    (sequence,) = write(engine, [([0], SamplingParams(max_tokens=9))])
    assert sequence.output_ids == [1, 2] and sequence.finish_reason == "stop"
    assert sequence.logprob == pytest.approx(0)


def test_max_tokens_end_a_text():
    engine = Engine(Stateless(TableModel({(): [0.5, 0.5]})), EngineParams())
    (sequence,) = write(engine, [([0], SamplingParams(max_tokens=9))])
    assert len(sequence.output_ids) == 9 and sequence.finish_reason == "length"
    assert sequence.logprob == pytest.approx(9 * -0.6931, abs=1e-3)


@pytest.mark.parametrize(
    "params", [SamplingParams(temperature=0, max_tokens=3), SamplingParams(top_k=1, max_tokens=3)]
)
def test_greedy_takes_the_likeliest_token(params):
    engine = Engine(Stateless(TableModel({(): [0.2, 0.5, 0.3]})), EngineParams())
    assert outputs(engine, [([0], params)]) == [[1, 1, 1]]


def test_the_logprob_is_the_models_own_whatever_the_filters():
    engine = Engine(Stateless(TableModel({(): [0.2, 0.5, 0.3]})), EngineParams())
    filtered = SamplingParams(
        temperature=0.1, top_k=1, max_tokens=1, repetition_penalty=3, no_repeat_ngram_size=1
    )
    (sequence,) = write(engine, [([0], filtered)])
    assert sequence.logprob == pytest.approx(-0.6931, abs=1e-3)


def test_no_n_gram_of_the_output_is_written_twice():
    engine = Engine(Stateless(TableModel({(): [90, *[1] * 11]})), EngineParams())
    (ids,) = outputs(engine, [([0, 0, 0], SamplingParams(max_tokens=9, no_repeat_ngram_size=2))])
    pairs = list(zip(ids, ids[1:], strict=False))
    assert len(set(pairs)) == len(pairs)


def test_what_can_never_run_is_refused_with_its_numbers(recalling_decoder):
    engine = Engine(recalling_decoder(num_blocks=4, block_size=4, max_positions=100), EngineParams())
    with pytest.raises(UsageError, match="need 17 positions; the KV cache holds 16"):
        engine.add([1] * 10, SamplingParams(max_tokens=7))
    with pytest.raises(UsageError, match="need 107 positions; the model's context has 100"):
        engine.add([1] * 7, SamplingParams(max_tokens=100))
    engine.add([1] * 10, SamplingParams(max_tokens=6))
    assert len(write(engine, [])) == 0


def test_an_empty_prompt_needs_a_model_with_a_bos(recalling_decoder, whole_context_model):
    assert outputs(Engine(recalling_decoder(), EngineParams()), [([], SamplingParams(max_tokens=2))])
    with pytest.raises(UsageError, match="no BOS"):
        Engine(Stateless(whole_context_model), EngineParams()).add([], SamplingParams())


def test_after_a_step_that_failed_the_engine_starts_clean(recalling_decoder):
    decoder = recalling_decoder()
    engine = Engine(decoder, EngineParams())
    asked = [([1, 2, 3, 4, 5, 6], SamplingParams(max_tokens=4))]
    whole = outputs(Engine(recalling_decoder(), EngineParams()), asked)

    def fail(rows):
        raise KeyboardInterrupt

    decoder.step = fail
    engine.add(*asked[0])
    with pytest.raises(KeyboardInterrupt):
        engine.step()
    del decoder.step
    assert not engine.has_work
    assert outputs(engine, asked) == whole
    assert engine.stats.num_prompt_tokens_shared == 0


def test_params_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="max_batch is 0"):
        EngineParams(max_batch=0)
