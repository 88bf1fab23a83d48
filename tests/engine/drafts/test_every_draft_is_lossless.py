"""Whatever is guessed, a text is the one that is written without guesses."""

import random
from collections import Counter
from itertools import product
from math import sqrt

import numpy as np
import pytest

from engine.drafts.every_draft import EVERY_DRAFT
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.lm.context import Context
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.types import SamplingParams

NUM_TOKENS = 12
every_draft = pytest.mark.parametrize("draft", EVERY_DRAFT, ids=str)


def counting_up() -> TableModel:
    """The next token is mostly one more than the last, so drafts are often right and not always."""
    rows = {(last,): [0.05] * NUM_TOKENS for last in range(NUM_TOKENS)}
    for (last,), row in rows.items():
        row[(last + 1) % NUM_TOKENS] = 4
    return TableModel({(): [1] * NUM_TOKENS, **rows, (3, 4): [1] * NUM_TOKENS})


def mixed_requests(count: int = 15):
    rng = random.Random(11)
    for seed in range(count):
        start = rng.randrange(NUM_TOKENS)
        prompt_ids = [(start + number) % NUM_TOKENS for number in range(rng.randrange(1, 30))]
        yield (
            prompt_ids,
            SamplingParams(
                seed=seed,
                max_tokens=rng.randrange(1, 50),
                temperature=rng.choice([0, 0.5, 1, 1.5]),
                top_k=rng.choice([0, 0, 4]),
                top_p=rng.choice([1, 0.8]),
                min_p=rng.choice([0, 0, 0.1]),
                repetition_penalty=rng.choice([1, 1, 1.3]),
                no_repeat_ngram_size=rng.choice([0, 0, 3]),
                stop_at_first_sentence=False,
            ),
        )


def texts(decoder, requests, drafter=None, *, eos_ids=(), **params):
    engine = Engine(decoder, EngineParams(**params), eos_ids, drafter, clock=lambda: 0.0)
    sequences = [engine.add(*asked) for asked in requests]
    while engine.has_work:
        engine.step()
    written = [(one.output_ids, one.finish_reason, pytest.approx(one.logprob, abs=1e-3)) for one in sequences]
    return written, engine.stats


@every_draft
@pytest.mark.parametrize("is_repetitive", [True, False])
def test_a_text_is_the_same_token_for_token_in_batches_of_five(draft, is_repetitive, recalling_decoder):
    decoder = recalling_decoder(num_blocks=200)
    target = counting_up() if is_repetitive else decoder.model
    plain, _ = texts(Stateless(target), mixed_requests(), max_batch=1, eos_ids=(9,))
    decoder = Stateless(target) if is_repetitive else decoder
    found, stats = texts(decoder, mixed_requests(), draft.make(target), max_batch=5, eos_ids=(9,))
    assert found == plain
    assert not is_repetitive or stats.num_tokens_accepted > 0


@every_draft
def test_drawn_texts_follow_the_targets_distribution(draft):
    target, temperature, min_p, num_texts = TableModel({(): [4, 2, 1], (0, 1): [1, 1, 9]}), 0.8, 0.2, 1500
    prompt_ids = (0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1)
    requests = [
        (prompt_ids, SamplingParams(seed=seed, max_tokens=3, temperature=temperature, min_p=min_p))
        for seed in range(num_texts)
    ]
    found, _ = texts(Stateless(target), requests, draft.make(target), max_batch=50)
    counts = Counter(tuple(output_ids) for output_ids, _, _ in found)

    def probs_after(output_ids: tuple[int, ...]) -> np.ndarray:
        probs = np.exp(target.next_logprobs([Context(prompt_ids, output_ids)])[0]) ** (1 / temperature)
        probs[probs < min_p * probs.max() * 0.999] = 0
        return probs / probs.sum()

    expected = {
        ids: num_texts * np.prod([probs_after(ids[:place])[ids[place]] for place in range(3)])
        for ids in product(range(3), repeat=3)
    }
    possible = {ids: number for ids, number in expected.items() if number > 0}
    assert counts.keys() <= possible.keys() and min(possible.values()) > 2
    distance = sum((counts[ids] - number) ** 2 / number for ids, number in possible.items())
    assert distance < chi_square_bound(len(possible) - 1)


def chi_square_bound(freedom: int) -> float:
    """Exceeded by chance once in ten thousand times (Wilson and Hilferty 1931)."""
    return freedom * (1 - 2 / (9 * freedom) + 3.719 * sqrt(2 / (9 * freedom))) ** 3


@every_draft
def test_after_the_last_text_a_drafter_remembers_none(draft):
    """What is drafted of a text does not hang on the texts before it."""
    target = counting_up()
    drafter = draft.make(target)
    decoder = Stateless(target)
    drafted = []
    for _ in range(2):
        _, stats = texts(decoder, mixed_requests(6), drafter, max_batch=5)
        drafted.append((stats.num_tokens_drafted, stats.num_tokens_accepted, stats.num_steps))
    assert drafted[0] == drafted[1] and drafted[0][0] > 0
