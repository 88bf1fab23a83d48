"""Texts as drafters meet them: they grow by one token or many, lose some, and are asked about in between."""

import random
from collections.abc import Iterator

import pytest

from potstill.engine.drafts.draft import Draft, Drafter, DraftRequest
from potstill.engine.drafts.model_draft import ModelDraft
from potstill.engine.uniforms import Uniforms
from potstill.lm.context import Context
from potstill.types import SamplingParams

GREEDY = SamplingParams(temperature=0)
# No product of shares of counts, so that rounding does not decide.
THRESHOLDS = (0.0, 0.1037, 0.4071, 0.9413)


def request(ids, *, num_prompt=0, text_id=1, most_tokens=16, least_prob=0.0, sampling=GREEDY) -> DraftRequest:
    context = Context(tuple(ids[:num_prompt]), tuple(ids[num_prompt:]))
    return DraftRequest(text_id, context, most_tokens, least_prob, sampling, Uniforms(sampling.seed))


def changing_text(rng: random.Random, vocab_size: int, num_changes: int = 12) -> Iterator[list[int]]:
    """Some tokens at random, some copied from what stands before, now and then some gone."""
    ids: list[int] = []
    for _ in range(num_changes):
        if ids and rng.random() < 0.3:
            ids = ids[: rng.randrange(len(ids))]
        if ids and rng.random() < 0.5:
            start = rng.randrange(len(ids))
            ids = ids + ids[start : start + rng.randrange(1, 50)]
        else:
            ids = ids + [rng.randrange(vocab_size) for _ in range(rng.randrange(1, 6))]
        yield ids


def same(draft: Draft, expected: Draft) -> bool:
    return draft.token_ids == expected.token_ids and draft.probs == pytest.approx(expected.probs, rel=1e-4)


def check_equals_definition(drafter: Drafter, definition, rng: random.Random, vocab_size: int) -> None:
    """Two texts in turns, drafts of all lengths and thresholds."""
    slow = ModelDraft(definition)
    texts = zip(changing_text(rng, vocab_size), changing_text(rng, vocab_size), strict=True)
    for pair in texts:
        requests = [
            request(
                ids,
                num_prompt=rng.randrange(min(len(ids), 3) + 1),
                text_id=text_id,
                most_tokens=rng.randrange(1, 10),
                least_prob=rng.choice(THRESHOLDS),
            )
            for text_id, ids in enumerate(pair)
        ]
        for draft, expected in zip(drafter.propose(requests), slow.propose(requests), strict=True):
            assert same(draft, expected), (requests, draft, expected)
