"""Drafters for tests: one that knows the model, and ones that guess badly in every way they can."""

import math
import random

import numpy as np

from potstill.engine.drafts.draft import Draft

_NO_PROBS = (-3.0, 0.0, 5.0, 1.0, math.nan, math.inf)


class Perfect:
    """Draws from the model itself with the target's own numbers, without filters or rules."""

    def __init__(self, model):
        self.model, self.vocab_size = model, model.vocab_size
        self.observed, self.alive = [], set()

    def propose(self, requests):
        self.alive |= {request.text_id for request in requests}
        return [self._draft(request) for request in requests]

    def observe(self, text_id, draft, drawn_ids):
        assert text_id in self.alive and len(drawn_ids) == len(draft.token_ids) + 1 > 1
        self.observed.append((draft, tuple(drawn_ids)))

    def forget(self, text_id):
        self.alive.discard(text_id)

    def _draft(self, request):
        assert request.most_tokens >= 1
        context, token_ids, probs = request.context, [], []
        while len(token_ids) < request.most_tokens and np.prod(probs) >= request.least_prob:
            token_id, prob = self._next(request, context)
            token_ids.append(token_id)
            probs.append(prob)
            context = type(context)(context.prompt_ids, (*context.output_ids, token_id))
        return Draft(tuple(token_ids), tuple(probs))

    def _next(self, request, context):
        probs = np.exp(self.model.next_logprobs([context])[0].astype(np.float64))
        if request.sampling.temperature == 0:
            token_id = int(probs.argmax())
        else:
            cumulated = probs.cumsum()
            wanted = request.uniforms.at(context.num_output) * cumulated[-1]
            token_id = int(np.searchsorted(cumulated, wanted, side="right"))
        return token_id, float(probs[token_id])


class HalfPerfect(Perfect):
    """Perfect, but for a token here and there."""

    def _next(self, request, context):
        token_id, prob = super()._next(request, context)
        is_wrong = random.Random(hash(context.token_ids)).random() < 0.3
        return ((token_id + 1) % self.vocab_size if is_wrong else token_id), prob


class Random(Perfect):
    """Any tokens at all."""

    def _next(self, request, context):
        return random.Random(hash(context.token_ids)).randrange(self.vocab_size), 0.9


class Adversarial(Perfect):
    """Right about nothing, and sure of it."""

    def _next(self, request, context):
        return (super()._next(request, context)[0] + 1) % self.vocab_size, 1.0


class Silent(Perfect):
    """Guesses nothing."""

    def _draft(self, request):
        return Draft()


class Lying(Perfect):
    """Gives more tokens than it was asked for, with probabilities that are none, and no tokens at all."""

    def _draft(self, request):
        token_ids = [*super()._draft(request).token_ids, -1, 10**9, *range(40)]
        rng = random.Random(hash(request.context.token_ids))
        if rng.random() < 0.5:
            rng.shuffle(token_ids)
        return Draft(tuple(token_ids), tuple(rng.choice(_NO_PROBS) for _ in token_ids[: rng.randrange(60)]))


TOY_DRAFTERS = (Perfect, HalfPerfect, Random, Adversarial, Silent, Lying)
