"""A text is the same, token for token, with any draft and with none."""

import random

import pytest

from engine.conftest import RecallingDecoder, WholeContextModel
from engine.drafts.toy_drafters import TOY_DRAFTERS, HalfPerfect, Perfect
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.errors import UsageError
from potstill.lm.stateless import Stateless
from potstill.types import SamplingParams

EOS = (7, 11)


def some_requests(count=24):
    """Nearly equal prompts, so that much is shared and a mix-up shows; every filter and rule."""
    rng = random.Random(5)
    return [
        (
            [rng.choice((1, 1, 1, 2)) for _ in range(rng.randrange(1, 20))],
            SamplingParams(
                max_tokens=rng.randrange(1, 30),
                seed=seed,
                temperature=rng.choice([0, 0.3, 1.0]),
                top_k=rng.choice([0, 0, 5]),
                top_p=rng.choice([0.8, 1, 1]),
                min_p=rng.choice([0, 0, 0.05]),
                repetition_penalty=rng.choice([1, 1, 1.2]),
                no_repeat_ngram_size=rng.choice([0, 0, 1, 2, 3]),
                num_logprobs=rng.choice([0, 3]),
            ),
        )
        for seed in range(count)
    ]


def run(engine, most_steps=5000):
    for _ in range(most_steps):
        if not engine.has_work:
            return
        engine.step()
    raise AssertionError("the engine does not come to an end")


def written(sequence):
    told = [(one.token_id, [token_id for token_id, _ in one.likeliest]) for one in sequence.told]
    return sequence.output_ids, sequence.finish_reason, told, pytest.approx(sequence.logprob, abs=1e-4)


@pytest.fixture(scope="module")
def plain():
    engine = Engine(Stateless(WholeContextModel()), EngineParams(max_batch=1), EOS)
    sequences = [engine.add(*asked) for asked in some_requests()]
    run(engine)
    return [written(sequence) for sequence in sequences]


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
@pytest.mark.parametrize("toy", TOY_DRAFTERS)
@pytest.mark.parametrize(
    ("num_blocks", "max_batch", "max_step_tokens"), [(200, 8, 2048), (200, 8, 11), (20, 8, 2048), (16, 3, 5)]
)
def test_drafts_change_no_text(kind, toy, num_blocks, max_batch, max_step_tokens, request, plain):
    decoder = request.getfixturevalue(kind)(num_blocks=num_blocks)
    params = EngineParams(max_batch=max_batch, max_step_tokens=max_step_tokens)
    drafter = toy(decoder.model)
    engine = Engine(decoder, params, EOS, drafter)
    rng, sequences = random.Random(2), []
    for asked in some_requests():
        sequences.append(engine.add(*asked))
        for _ in range(rng.randrange(3)):
            engine.step()
    run(engine)
    assert [written(sequence) for sequence in sequences] == plain
    assert not drafter.alive and not engine._speculation._texts
    assert engine.stats.num_tokens_generated == sum(len(one.output_ids) for one in sequences)
    assert engine._blocks.num_free == num_blocks
    if not decoder.encodes_prompt:
        assert all(sum(row.num_new for row in rows) <= max_step_tokens for rows in decoder.steps)


def test_a_perfect_draft_writes_many_tokens_a_step():
    decoder = RecallingDecoder()
    engine = Engine(decoder, EngineParams(), drafter=Perfect(decoder.model))
    engine.add([1, 2, 3], SamplingParams(max_tokens=60))
    run(engine)
    assert engine.stats.num_steps < 25
    assert engine.stats.acceptance_rate == 1 and engine.stats.tokens_per_row > 2.4


def test_a_draft_of_another_vocabulary_is_refused():
    with pytest.raises(UsageError, match="vocabulary of 9 tokens and the model one of 50"):
        Engine(RecallingDecoder(), EngineParams(), drafter=HalfPerfect(WholeContextModel(9)))
