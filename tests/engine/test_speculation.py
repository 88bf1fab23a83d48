"""A text is the same, token for token, with any draft and with none."""

import random

import pytest

from engine.conftest import RecallingDecoder, WholeContextModel
from engine.drafts.toy_drafters import TOY_DRAFTERS, Adversarial, HalfPerfect, Lying, Perfect
from engine.tiny_decoder import tiny_decoder
from engine.toy_constraints import BreakingOff, Toy
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.engine.sequence import Sequence
from potstill.engine.speculation import Speculation
from potstill.errors import UsageError
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.models.native_decoder import NativeRunner
from potstill.types import SamplingParams

EOS = (7,)


def some_requests(count=16):
    """Nearly equal prompts, so that much is shared and a mix-up shows; every filter and rule."""
    rng = random.Random(5)
    return [
        (
            [rng.choice((1, 1, 1, 2)) for _ in range(rng.randrange(1, 20))],
            SamplingParams(
                max_tokens=rng.randrange(1, 24),
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


SIZES = pytest.mark.parametrize(
    ("num_blocks", "max_batch", "max_step_tokens"), [(200, 8, 2048), (18, 8, 11), (16, 3, 2048)]
)


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
@pytest.mark.parametrize("toy", TOY_DRAFTERS)
@SIZES
def test_drafts_change_no_text(kind, toy, num_blocks, max_batch, max_step_tokens, request, plain):
    decoder = request.getfixturevalue(kind)(num_blocks=num_blocks)
    params = EngineParams(max_batch=max_batch, max_step_tokens=max_step_tokens)
    drafter = toy(decoder.model)
    engine = Engine(decoder, params, EOS, drafter, clock=lambda: 0.0)
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
    engine = Engine(decoder, EngineParams(), drafter=Perfect(decoder.model), clock=lambda: 0.0)
    engine.add([1, 2, 3], SamplingParams(max_tokens=60))
    run(engine)
    assert engine.stats.num_steps < 25
    assert engine.stats.acceptance_rate == 1 and engine.stats.tokens_per_row > 2.4


def test_a_draft_of_another_vocabulary_is_refused():
    with pytest.raises(UsageError, match="vocabulary of 9 tokens and the model one of 50"):
        Engine(RecallingDecoder(), EngineParams(), drafter=HalfPerfect(WholeContextModel(9)))


def test_guesses_of_many_texts_stay_within_twice_what_was_timed():
    speculation = Speculation(Perfect(WholeContextModel()), 50, frozenset(), clock=lambda: 0.0)
    for _ in range(2):
        speculation.payoff.cost.note(4, 0.0)
    asked = SamplingParams(max_tokens=9)
    rows = [Sequence(sequence_id=place, prompt_ids=(1, place), sampling=asked) for place in range(8)]
    speculation.draft(rows, len(rows))
    assert sum(len(row.draft.token_ids) for row in rows) == 1


def constraints(count=16):
    return [Toy(EOS, ends_after=length) for length in random.Random(8).choices((4, 9, 10_000), k=count)]


def constrained(engine, rng=None):
    sequences = []
    for asked, constraint in zip(some_requests(), constraints(), strict=True):
        sequences.append(engine.add(*asked, constraint=constraint))
        for _ in range(rng.randrange(3) if rng else 0):
            engine.step()
    run(engine)
    return [(*written(one), one.constraint.taken, one.constraint.unmet()) for one in sequences]


@pytest.fixture(scope="module")
def plain_constrained():
    """Masks put on by the definition: tokens that may not come have no chance."""
    return constrained(Engine(Stateless(WholeContextModel()), EngineParams(max_batch=1), EOS))


def test_a_constraint_is_kept_to_and_ends_its_text(plain_constrained):
    for (ids, reason, *_, taken, unmet), (_, params), constraint in zip(
        plain_constrained, some_requests(), constraints(), strict=True
    ):
        assert taken == ids and constraint.num_valid(ids) == len(ids)
        ends = ids[-1] in EOS or len(ids) == constraint.ends_after
        assert reason == ("stop" if ends else "length")
        assert (unmet == ()) == ends
        assert ends or len(ids) == params.max_tokens


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
@pytest.mark.parametrize("toy", [None, HalfPerfect, Lying])
@SIZES
def test_drafts_and_forced_tokens_change_no_text(
    kind, toy, num_blocks, max_batch, max_step_tokens, request, plain_constrained
):
    decoder = request.getfixturevalue(kind)(num_blocks=num_blocks)
    params = EngineParams(max_batch=max_batch, max_step_tokens=max_step_tokens)
    engine = Engine(decoder, params, EOS, toy and toy(decoder.model), clock=lambda: 0.0)
    assert constrained(engine, random.Random(3)) == plain_constrained
    stats = engine.stats
    assert stats.num_tokens_generated == sum(len(ids) for ids, *_ in plain_constrained)
    assert max_step_tokens < 20 or stats.num_tokens_forced > 5


def test_forced_tokens_take_no_step_of_their_own():
    engine = Engine(RecallingDecoder(), EngineParams())
    constraint = Toy()
    constraint.next_ids = lambda taken: {len(taken) % 50}
    sequence = engine.add([1, 2], SamplingParams(max_tokens=40), constraint=constraint)
    run(engine)
    assert sequence.output_ids == list(range(40)) and engine.stats.num_steps == 2
    assert engine.stats.num_tokens_forced == 38


def test_what_a_model_rules_out_is_written_where_a_constraint_wants_it():
    engine = Engine(Stateless(TableModel({(): [0.5, 0.5] + [0.0] * 48})), EngineParams())
    constraint = Toy()
    constraint.next_ids = lambda taken: {30, 31}
    drawn = [
        engine.add([1], SamplingParams(max_tokens=3, seed=seed, no_repeat_ngram_size=2), constraint=one)
        for seed, one in enumerate(constraint for _ in range(1))
    ]
    run(engine)
    assert all({*one.output_ids} <= {30, 31} for one in drawn)


def test_a_text_whose_constraint_breaks_off_fails_alone():
    def failing(toy):
        decoder = RecallingDecoder()
        engine = Engine(decoder, EngineParams(), EOS, toy and toy(decoder.model), clock=lambda: 0.0)
        asked = SamplingParams(max_tokens=20)
        failed = engine.add([1], asked, constraint=BreakingOff(EOS))
        other = engine.add([1], asked, constraint=Toy(EOS))
        run(engine)
        assert other.error is None and other.finish_reason
        assert isinstance(failed.error, UsageError) and engine._blocks.num_free == decoder.num_blocks
        return failed.output_ids

    assert failing(None) == failing(Perfect) and len(failing(None)) == 4


def test_a_constraint_of_another_vocabulary_is_refused():
    with pytest.raises(UsageError, match="about 50 tokens; the model has 3"):
        Engine(Stateless(TableModel({(): [1, 1, 1]})), EngineParams()).add(
            [1], SamplingParams(), constraint=Toy()
        )


def failing_now_and_then(decoder, most_positions):
    """The decoder, which finds no memory for a step of more positions, if some are guesses, or for 60."""
    step = decoder.step

    def limited(rows):
        most = most_positions if any(row.num_logits > 1 for row in rows) else 60
        if sum(row.num_new for row in rows) > most:
            raise MemoryError("no room")
        return step(rows)

    decoder.step = limited
    return decoder


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
def test_where_memory_runs_out_drafts_go_first_and_texts_stay(kind, request, plain):
    decoder = failing_now_and_then(request.getfixturevalue(kind)(num_blocks=200), 20)
    engine = Engine(decoder, EngineParams(max_batch=6), EOS, HalfPerfect(decoder.model), clock=lambda: 0.0)
    sequences = [engine.add(*asked) for asked in some_requests()]
    run(engine)
    assert [written(sequence) for sequence in sequences] == plain
    assert engine.stats.num_tokens_accepted > 0


def test_guesses_that_never_find_memory_are_hardly_tried():
    decoder = failing_now_and_then(RecallingDecoder(), 0)
    drafter = Perfect(decoder.model)
    engine = Engine(decoder, EngineParams(), drafter=drafter, clock=lambda: 0.0)
    text = engine.add([1], SamplingParams(max_tokens=50, temperature=0))
    proposed = []
    propose = drafter.propose
    drafter.propose = lambda requests: proposed.append(len(text.output_ids)) or propose(requests)
    run(engine)
    assert len(text.output_ids) == 50 and len(proposed) < 3


def test_without_its_drafts_a_step_that_found_no_memory_runs_whole():
    decoder = failing_now_and_then(RecallingDecoder(), 9)
    engine = Engine(decoder, EngineParams(), drafter=Perfect(decoder.model), clock=lambda: 0.0)
    engine.add([1], SamplingParams(max_tokens=40, temperature=0))
    run(engine)
    assert not engine._call_size.is_limited and engine.stats.num_tokens_generated == 40


@pytest.mark.parametrize("toy", [None, HalfPerfect, Perfect])
def test_texts_that_are_given_up_or_stop_in_the_middle_of_a_draft_change_no_other(toy, plain):
    class StopAt:
        """Ends a text with its fifth token."""

        num_pushed = 0

        def push(self, token_id):
            self.num_pushed += 1
            return self.num_pushed == 5

    decoder = RecallingDecoder(num_blocks=40)
    drafter = toy and toy(decoder.model)
    engine = Engine(decoder, EngineParams(max_batch=4), EOS, drafter, clock=lambda: 0.0)
    rng, kept, stopped = random.Random(4), [], []
    for asked in some_requests():
        kept.append(engine.add(*asked))
        victim = engine.add(*rng.choice(some_requests()), priority=rng.randrange(2))
        stopped.append(engine.add(*asked, stop=StopAt()))
        for _ in range(rng.randrange(4)):
            engine.step()
        engine.cancel(victim)
    run(engine)
    assert [written(sequence) for sequence in kept] == plain
    assert [one.output_ids for one in stopped] == [ids[:5] for ids, *_ in plain]
    assert engine._blocks.num_free == 40 and not engine._speculation._texts
    assert toy is None or not drafter.alive


def test_an_engine_that_is_cleared_makes_its_drafter_forget():
    decoder = RecallingDecoder()
    drafter = Perfect(decoder.model)
    engine = Engine(decoder, EngineParams(), drafter=drafter, clock=lambda: 0.0)
    for seed in range(3):
        engine.add([seed], SamplingParams(max_tokens=30))
    for _ in range(5):
        engine.step()
    assert len(drafter.alive) == 3
    engine.abort_all()
    assert not drafter.alive


def test_drafts_take_only_blocks_that_are_free():
    decoder = RecallingDecoder(num_blocks=8, block_size=4)
    engine = Engine(decoder, EngineParams(), drafter=Adversarial(decoder.model), clock=lambda: 0.0)
    for seed in range(2):
        engine.add([1], SamplingParams(max_tokens=14, seed=seed))
    run(engine)
    assert engine.stats.num_preemptions == 0 and engine.stats.num_tokens_drafted > 20


def test_a_search_runs_beside_drafted_texts_and_follows_a_constraint(plain):
    asked = SamplingParams(max_tokens=8, num_beams=3)
    alone = Engine(Stateless(WholeContextModel()), EngineParams(), EOS)
    expected = alone.add([1, 2], asked, constraint=Toy(EOS))
    run(alone)
    decoder = RecallingDecoder()
    engine = Engine(decoder, EngineParams(), EOS, HalfPerfect(decoder.model), clock=lambda: 0.0)
    texts = [engine.add(*one) for one in some_requests()]
    found = engine.add([1, 2], asked, constraint=Toy(EOS))
    run(engine)
    assert found.output_ids == expected.output_ids
    assert Toy(EOS).num_valid(found.output_ids) == len(found.output_ids)
    assert [written(text) for text in texts] == plain


@pytest.mark.parametrize("windows", [(6, None), (3, 5)])
def test_refused_guesses_are_not_seen_through_a_window(windows):
    def texts(toy):
        runner = NativeRunner.of(tiny_decoder(windows=windows), "fp32")
        decoder = NeuralDecoder(runner, bos_id=1, kv_bytes=1 << 18, block_size=4)
        engine = Engine(decoder, EngineParams(), (), toy and toy(decoder), clock=lambda: 0.0)
        sequences = [engine.add(*asked) for asked in some_requests(8)]
        run(engine)
        assert toy is None or 0 < engine.stats.acceptance_rate < 1
        return [(one.output_ids, one.logprob, one.told) for one in sequences]

    assert texts(HalfPerfect) == texts(None)


def test_what_a_text_would_run_without_a_cache_is_the_same_with_drafts():
    counts = []
    for toy in (None, HalfPerfect):
        decoder = RecallingDecoder()
        engine = Engine(decoder, EngineParams(), EOS, toy and toy(decoder.model), clock=lambda: 0.0)
        engine.add([1, 2, 3], SamplingParams(max_tokens=40, temperature=0))
        run(engine)
        counts.append(engine.stats.num_positions_uncached)
    assert counts[0] == counts[1]


def test_a_drafter_that_never_pays_is_hardly_asked():
    """With a clock by which a position costs a step."""
    decoder, now = RecallingDecoder(), [0.0]
    step = decoder.step

    def slow(rows):
        now[0] += sum(row.num_new for row in rows)
        return step(rows)

    decoder.step = slow
    drafter = Adversarial(decoder.model)
    engine = Engine(decoder, EngineParams(), drafter=drafter, clock=lambda: now[0])
    engine.add([1], SamplingParams(max_tokens=200))
    run(engine)
    assert now[0] < 1.03 * 200 and drafter.observed
