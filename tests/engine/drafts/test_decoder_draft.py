"""A draft model with its cache against the definition, which has none."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from engine.tiny_decoder import tiny_decoder
from lm.random_t5 import random_t5
from potstill.engine.drafts.decoder_draft import DecoderDraft
from potstill.engine.drafts.draft import Draft, DraftRequest
from potstill.engine.drafts.model_draft import ModelDraft
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.engine.uniforms import Uniforms
from potstill.errors import DamagedError, UsageError
from potstill.lm.context import Context
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.types import SamplingParams

SETTINGS = (
    SamplingParams(temperature=0),
    SamplingParams(seed=1),
    SamplingParams(temperature=0.7, top_k=20, top_p=0.8, min_p=0.02, seed=2),
    # No penalty on repetition: that acts on scores, which a definition in log-probabilities has not.
    SamplingParams(temperature=0, no_repeat_ngram_size=1),
    SamplingParams(temperature=1.3, no_repeat_ngram_size=2, seed=3),
)


def asked(text_id: int, context: Context, most_tokens: int = 5, least_prob: float = 0.0) -> DraftRequest:
    sampling = SETTINGS[text_id % len(SETTINGS)]
    return DraftRequest(text_id, context, most_tokens, least_prob, sampling, Uniforms(sampling.seed))


class Texts:
    """Texts that grow by what was drafted or by something else, shrink, and are written anew."""

    def __init__(self, num_texts: int, vocab_size: int, seed: int = 1) -> None:
        self.rng, self.vocab_size = random.Random(seed), vocab_size
        beginning = self.tokens(9)
        # Some prompts begin alike, one is another's beginning and two are the same.
        self.prompts = [
            beginning[: 4 * (1 + text_id % 3)] + self.tokens(text_id % 4) for text_id in range(num_texts)
        ]
        self.outputs: list[tuple[int, ...]] = [()] * num_texts

    def tokens(self, num_tokens: int) -> tuple[int, ...]:
        return tuple(self.rng.randrange(2, self.vocab_size) for _ in range(num_tokens))

    def requests(self) -> list[DraftRequest]:
        text_ids = [text_id for text_id in range(len(self.prompts)) if self.rng.random() < 0.8]
        return [
            asked(
                text_id,
                Context(self.prompts[text_id], self.outputs[text_id]),
                self.rng.randrange(1, 7),
                self.rng.choice([0, 0, 0.01, 0.3]),
            )
            for text_id in text_ids
        ]

    def go_on(self, text_id: int, draft: Draft) -> None:
        output_ids, rng = self.outputs[text_id], self.rng
        kept = draft.token_ids[: rng.randrange(len(draft.token_ids) + 1)]
        self.outputs[text_id] = rng.choice(
            [
                output_ids + kept + self.tokens(1),
                output_ids + kept + self.tokens(1),
                output_ids + draft.token_ids,
                output_ids + self.tokens(rng.randrange(6)),
                output_ids[: rng.randrange(len(output_ids) + 1)],
                self.tokens(3),
            ]
        )[:30]


def assert_drafts_are_those_of(
    expected: ModelDraft,
    found: DecoderDraft,
    *,
    num_texts: int = 6,
    num_calls: int = 40,
    may_miss: bool = False,
) -> int:
    """The number of drafts that were left out for want of room."""
    texts, num_missed = Texts(num_texts, found.vocab_size), 0
    for _ in range(num_calls):
        requests = texts.requests()
        drafts = found.propose(requests)
        for request, draft, true in zip(requests, drafts, expected.propose(requests), strict=True):
            size = len(draft.token_ids)
            assert size == len(true.token_ids) or (may_miss and size < len(true.token_ids))
            assert draft.token_ids == true.token_ids[:size]
            assert draft.probs == pytest.approx(true.probs[:size], rel=1e-3)
            num_missed += size < len(true.token_ids)
            texts.go_on(request.text_id, draft)
        if texts.rng.random() < 0.2:
            found.forget(gone := texts.rng.randrange(num_texts))
            texts.prompts[gone], texts.outputs[gone] = texts.prompts[gone] + texts.tokens(1), ()
    return num_missed


@pytest.mark.parametrize("max_step_tokens", [2048, 7, 1])
def test_it_drafts_what_the_definition_drafts_whatever_happens_to_the_texts(
    recalling_decoder, max_step_tokens
):
    decoder = recalling_decoder(num_blocks=200)
    draft = DecoderDraft(decoder, EngineParams(max_step_tokens=max_step_tokens))
    assert assert_drafts_are_those_of(ModelDraft(decoder.model), draft) == 0
    assert max(sum(row.num_new for row in step) for step in decoder.steps) <= max(max_step_tokens, 7)


def test_a_cache_too_small_for_all_texts_leaves_some_out_and_makes_no_mistake(recalling_decoder):
    decoder = recalling_decoder(num_blocks=18)
    draft = DecoderDraft(decoder, EngineParams())
    num_missed = assert_drafts_are_those_of(ModelDraft(decoder.model), draft, num_calls=80, may_miss=True)
    assert 0 < num_missed < 200


def test_a_neural_draft_model_drafts_what_its_definition_drafts():
    model = NeuralDecoder(tiny_decoder(), bos_id=1, kv_bytes=1 << 18, block_size=4)
    assert (
        assert_drafts_are_those_of(ModelDraft(model), DecoderDraft(model, EngineParams()), num_calls=12) == 0
    )


def test_an_encoder_decoder_drafts_what_its_definition_drafts():
    model = EncoderDecoder(random_t5(), kv_bytes=1 << 20, block_size=4)
    assert (
        assert_drafts_are_those_of(ModelDraft(model), DecoderDraft(model, EngineParams()), num_calls=12) == 0
    )


@pytest.mark.parametrize("num_blocks", [200, 24])
def test_an_encoder_decoder_reads_a_prompt_once_and_finds_it_again(recalling_encoder_decoder, num_blocks):
    decoder = recalling_encoder_decoder(num_blocks=num_blocks)
    draft = DecoderDraft(decoder, EngineParams(max_step_tokens=11))
    num_missed = assert_drafts_are_those_of(ModelDraft(decoder.model), draft, may_miss=num_blocks < 200)
    assert (num_missed > 0) == (num_blocks < 200)
    decoder.num_encoded = 0
    draft.propose([asked(text_id, Context((40, 41, 42))) for text_id in (20, 21, 22)])
    assert decoder.num_encoded == 1


def test_a_step_runs_one_position_for_each_text_that_is_still_drafted(recalling_decoder):
    decoder = recalling_decoder()
    draft = DecoderDraft(decoder, EngineParams())
    lengths = (1, 3, 5)
    requests = [asked(length, Context((2, 3, length)), length) for length in lengths]
    drafts = draft.propose(requests)
    assert [len(one.token_ids) for one in drafts] == [1, 3, 5]
    assert [[row.num_new for row in step] for step in decoder.steps] == [[4, 4, 4], [1, 1], [1, 1], [1], [1]]
    # Of each text the last token drafted was not run, and one was drawn after it.
    decoder.steps.clear()
    draft.propose(
        [
            request._replace(context=Context(request.context.prompt_ids, (*one.token_ids, 7)), most_tokens=1)
            for request, one in zip(requests, drafts, strict=True)
        ]
    )
    assert [[row.num_new for row in step] for step in decoder.steps] == [[2, 2, 2]]


def test_prompts_that_begin_alike_share_blocks_and_their_common_part_is_run_once(recalling_decoder):
    decoder = recalling_decoder()
    draft = DecoderDraft(decoder, EngineParams())
    prompt_ids = tuple(range(2, 21))
    draft.propose([asked(text_id, Context((*prompt_ids, text_id)), 1) for text_id in range(3)])
    assert [row.num_new for row in decoder.steps[0]] == [21, 1, 1]
    assert draft.places.num_blocks_used == 5 + 3


def test_an_output_that_goes_on_like_anothers_prompt_does_not_lie_in_its_block(recalling_decoder):
    decoder = recalling_decoder()
    draft = DecoderDraft(decoder, EngineParams())
    whole, beginning = asked(0, Context((2, 3, 4, 5, 6)), 1), asked(5, Context((2, 3), (4, 5)), 1)
    for request in (whole, beginning, beginning._replace(context=Context((2, 3), (7, 8))), whole):
        assert draft.propose([request]) == expected_of(decoder.model, [request])


def test_the_texts_asked_about_longest_ago_make_room_and_texts_of_the_same_call_do_not(recalling_decoder):
    decoder = recalling_decoder(num_blocks=6)
    draft = DecoderDraft(decoder, EngineParams())
    contexts = [Context(tuple(range(first, first + 6))) for first in (2, 12, 22, 32)]  # two blocks each
    for text_id in (0, 1, 2, 0, 3):
        (one,) = draft.propose([asked(text_id, contexts[text_id], 1)])
        assert one.token_ids
    decoder.steps.clear()
    draft.propose([asked(text_id, contexts[text_id], 1) for text_id in (0, 3)])
    assert [row.num_new for row in decoder.steps[0]] == [1, 1]
    all_four = [asked(text_id, contexts[text_id], 1) for text_id in range(4)]
    for _ in range(2):
        assert [len(one.token_ids) for one in draft.propose(all_four)] == [1, 1, 1, 0]


def test_no_text_makes_room_for_one_that_would_still_find_none(recalling_decoder):
    decoder = recalling_decoder(num_blocks=6)
    draft = DecoderDraft(decoder, EngineParams())
    draft.propose([asked(0, Context((2, 3, 4)), 1)])
    assert draft.propose([asked(1, Context(tuple(range(2, 40))), 1)]) == [Draft()]
    assert draft.places.num_texts == 1


def test_a_text_that_is_forgotten_gives_its_blocks_back(recalling_decoder):
    draft = DecoderDraft(recalling_decoder(), EngineParams())
    for text_id in range(3):
        draft.propose([asked(text_id, Context(tuple(range(2, 12))), 5)])
    assert draft.places.num_blocks_used > 0
    for text_id in (0, 1, 2, 2, 99):
        draft.forget(text_id)
    assert draft.places.num_blocks_used == draft.places.num_texts == 0


def test_many_texts_that_nobody_forgets_stay_within_the_cache(recalling_decoder):
    draft = DecoderDraft(recalling_decoder(num_blocks=8), EngineParams())
    for text_id in range(100):
        assert draft.propose([asked(text_id, Context((2, 3, text_id % 50)), 2)])[0].token_ids
    assert draft.places.num_texts <= 8


@pytest.mark.parametrize("kind", ["recalling_decoder", "recalling_encoder_decoder"])
def test_all_that_the_target_itself_drafts_is_kept(kind, request):
    make = request.getfixturevalue(kind)
    params = EngineParams(max_batch=5)
    engine = Engine(
        make(num_blocks=200), params, drafter=DecoderDraft(make(num_blocks=200), params), clock=lambda: 0.0
    )
    for seed in range(12):
        sampling = replace(SETTINGS[seed % 5], seed=seed, max_tokens=20, repetition_penalty=1 + seed % 2)
        engine.add([2, 3, 4, 5, 2 + seed % 3], sampling)
    while engine.has_work:
        engine.step()
    assert engine.stats.num_tokens_drafted > 50 and engine.stats.acceptance_rate == 1


def test_what_it_cannot_read_it_proposes_nothing_for(recalling_decoder, recalling_encoder_decoder):
    draft = DecoderDraft(recalling_decoder(max_positions=8), EngineParams(), vocab_size=60)
    contexts = [Context(tuple(range(2, 9))), Context(tuple(range(2, 10))), Context((2, 55)), Context(())]
    found = draft.propose([asked(0 + 5 * index, context, 9) for index, context in enumerate(contexts)])
    # Eight positions are BOS and seven tokens: one token is drafted after them, and cannot be run.
    assert [len(one.token_ids) for one in found] == [1, 0, 0, 8]
    encoder = DecoderDraft(recalling_encoder_decoder(max_prompt_tokens=4), EngineParams())
    contexts = [Context(()), Context((2, 3, 4, 5)), Context((2, 3, 4, 5, 6))]
    found = encoder.propose([asked(0 + 5 * index, context, 1) for index, context in enumerate(contexts)])
    assert [len(one.token_ids) for one in found] == [0, 1, 0]
    table = DecoderDraft(Stateless(TableModel({(): [1, 2]})), EngineParams())
    assert table.propose([asked(0, Context(()))]) == [Draft()]


def test_a_draft_ends_with_eos_and_holds_no_token_the_target_lacks():
    model = TableModel({(): [0, 0, 0, 3, 7], (3,): [0, 0, 1, 0, 0]})
    draft = DecoderDraft(Stateless(model), EngineParams(), eos_ids=[2], vocab_size=4)
    assert draft.vocab_size == 4
    (found,) = draft.propose([asked(0, Context((1,)), 9)])
    assert found.token_ids == (3, 2)


def test_a_draft_stops_with_the_token_that_makes_it_too_unlikely():
    model = TableModel({(): [0.25, 0.75]})
    draft = DecoderDraft(Stateless(model), EngineParams())
    (found,) = draft.propose([asked(0, Context((1,)), 9, least_prob=0.5)])
    assert found == Draft((1, 1, 1), pytest.approx((0.75, 0.75, 0.75)))


class Breaks:
    """A decoder whose third step fails, having written half of it."""

    def __init__(self, decoder, error: Exception) -> None:
        self.decoder, self.error, self.num_steps = decoder, error, 0

    def __getattr__(self, name: str):
        return getattr(self.decoder, name)

    def step(self, rows):
        self.num_steps += 1
        if self.num_steps == 3:
            self.decoder.step(rows[:1])
            raise self.error
        return self.decoder.step(rows)


def test_a_step_that_finds_no_memory_is_no_draft_and_leaves_nothing_half_written(recalling_decoder):
    decoder = Breaks(recalling_decoder(), MemoryError("no room"))
    draft = DecoderDraft(decoder, EngineParams())
    requests = [asked(text_id, Context((*range(2, 12), text_id))) for text_id in range(3)]
    assert draft.propose(requests) == [Draft()] * 3
    assert draft.propose(requests) == expected_of(decoder.model, requests)


def test_any_other_failure_is_told_and_leaves_nothing_half_written(recalling_decoder):
    decoder = Breaks(recalling_decoder(), DamagedError("broken"))
    draft = DecoderDraft(decoder, EngineParams())
    requests = [asked(text_id, Context((*range(2, 12), text_id))) for text_id in range(3)]
    with pytest.raises(DamagedError, match="The draft model: broken"):
        draft.propose(requests)
    assert draft.propose(requests) == expected_of(decoder.model, requests)


def expected_of(model, requests: Sequence[DraftRequest]) -> list:
    return [
        Draft(draft.token_ids, pytest.approx(draft.probs, rel=1e-3))
        for draft in ModelDraft(model).propose(requests)
    ]


# --- staged: somebody drafts for the draft model ---


class Guesses:
    """Drafts what the model would, some of it wrong, and keeps what it is told."""

    def __init__(self, model, share_right: float) -> None:
        self.inner, self.share_right = ModelDraft(model), share_right
        self.vocab_size = model.vocab_size
        self.rng = random.Random(3)
        self.observed: list[tuple[Draft, list[int]]] = []
        self.forgotten: list[int] = []

    def propose(self, requests):
        asked_for = [request._replace(least_prob=0) for request in requests]
        return [
            Draft(tuple(map(self._or_wrong, one.token_ids)), (0.99,) * len(one.token_ids))
            for one in self.inner.propose(asked_for)
        ]

    def _or_wrong(self, token_id: int) -> int:
        return token_id if self.rng.random() < self.share_right else (token_id + 1) % self.vocab_size

    def observe(self, text_id, draft, drawn_ids):
        self.observed.append((draft, drawn_ids))

    def forget(self, text_id):
        self.forgotten.append(text_id)


@pytest.mark.parametrize("share_right", [0, 0.7, 1])
@pytest.mark.parametrize("num_blocks", [200, 20])
def test_staged_drafts_are_those_of_the_draft_model_alone(recalling_decoder, share_right, num_blocks):
    decoder = recalling_decoder(num_blocks=num_blocks)
    inner = Guesses(decoder.model, share_right)
    draft = DecoderDraft(decoder, EngineParams(max_step_tokens=16), inner)
    num_missed = assert_drafts_are_those_of(ModelDraft(decoder.model), draft, may_miss=num_blocks < 200)
    assert num_missed == 0 or num_blocks < 200
    assert all(len(drawn_ids) == len(one.token_ids) + 1 for one, drawn_ids in inner.observed)


def test_right_guesses_save_the_draft_model_its_steps(recalling_decoder):
    decoder = recalling_decoder()
    inner = Guesses(decoder.model, 1)
    draft = DecoderDraft(decoder, EngineParams(), inner)
    request = asked(1, Context((2, 3, 4)), 9)
    (found,) = draft.propose([request])
    assert len(found.token_ids) == 9 and len(decoder.steps) == 1
    ((guesses, drawn_ids),) = inner.observed
    assert guesses.token_ids == found.token_ids[:8] and tuple(drawn_ids) == found.token_ids
    draft.forget(1)
    assert inner.forgotten == [1]


def test_a_neural_draft_model_drafts_the_same_when_it_is_staged():
    model = NeuralDecoder(tiny_decoder(), bos_id=1, kv_bytes=1 << 18, block_size=4)
    draft = DecoderDraft(model, EngineParams(), Guesses(model, 0.7))
    assert assert_drafts_are_those_of(ModelDraft(model), draft, num_calls=12) == 0


def test_a_drafter_of_another_vocabulary_is_refused_for_the_draft_model(recalling_decoder):
    with pytest.raises(UsageError, match="2 tokens and the model it drafts for 50"):
        DecoderDraft(recalling_decoder(), EngineParams(), ModelDraft(TableModel({(): [1, 1]})))


@pytest.mark.gpu
def test_a_draft_model_on_a_gpu_drafts_what_its_definition_drafts():
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    model = NeuralDecoder(tiny_decoder().cuda(), bos_id=1, kv_bytes=1 << 18, block_size=4)
    draft = DecoderDraft(model, EngineParams(), Guesses(model, 0.7))
    assert assert_drafts_are_those_of(ModelDraft(model), draft, num_calls=12) == 0
