"""Lookahead decoding: what the target drew after wrong guesses is guessed next. No torch here.

Fu et al. 2024, arXiv:2402.02057, in a causal form. The published method runs beside the text a window of
several Jacobi steps, under an attention mask of its own, and some n-grams that are verified. Here a step runs
one row of guesses after the text, where a position sees those before it and no others: it is verified, and
what is drawn at its places is the next Jacobi step. So nothing but a draft is asked of a decoder, and a step
has `window` places instead of that times the length of an n-gram. For that there is one trajectory instead of
several, one n-gram is tried at a time, and a trajectory ends where the text leaves it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from potstill.engine.drafts.beliefs import even_but_for, prob_of
from potstill.engine.drafts.draft import Draft, DraftRequest
from potstill.engine.drafts.growing_draft import GrowingDraft
from potstill.errors import ConfigError
from potstill.lm.context import Context

# A guess says nothing of its chances, and a window is run whole: it does not pay otherwise.
_BELIEF = 0.999

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What was drawn after wrong guesses, for the positions of the text from `start` on."""

    start: int = 0
    token_ids: Ids = ()

    def at(self, position: int) -> int | None:
        offset = position - self.start
        return self.token_ids[offset] if 0 <= offset < len(self.token_ids) else None


class LookaheadModel:
    """The definition, a `NextTokenModel`, for one text and what was met along its trajectories so far.

    Of the n-grams that begin with the most of the last tokens, `ngrams` naming the latest last, the latest
    says what comes next; where none does, the trajectory; at first what stands `window` tokens before.
    """

    def __init__(self, vocab_size: int, window: int, ngrams: Sequence[Ids], trajectory: Trajectory) -> None:
        self.vocab_size, self._window = vocab_size, window
        self._ngrams, self._trajectory = tuple(ngrams), trajectory

    def next_logprobs(self, contexts: Sequence[Context]) -> np.ndarray:
        return np.stack([self._row(context.token_ids) for context in contexts])

    def _row(self, ids: Ids) -> np.ndarray:
        token_id = self._next(ids)
        return even_but_for(self.vocab_size, {} if token_id is None else {token_id: _BELIEF})

    def _next(self, ids: Ids) -> int | None:
        longest = max(map(len, self._ngrams), default=1) - 1
        for length in range(min(longest, len(ids)), 0, -1):
            for ngram in reversed(self._ngrams):
                if ngram[:length] == ids[-length:]:
                    return ngram[length]
        return _beside_pool(ids, self._trajectory, self._window)


def _beside_pool(ids: Sequence[int], trajectory: Trajectory, window: int) -> int | None:
    token_id = trajectory.at(len(ids))
    if token_id is None and ids:
        return ids[-min(window, len(ids))]
    return token_id


class NgramPool:
    """The n-grams met last, at most `most` of them, and which of them begins with given tokens."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ngrams: dict[Ids, None] = {}  # the latest last
        self._latest: dict[Ids, Ids] = {}  # by each of its beginnings

    @property
    def ngrams(self) -> list[Ids]:
        return list(self._ngrams)

    @property
    def num_beginnings(self) -> int:
        return len(self._latest)

    def meet(self, ngram: Ids) -> None:
        self._ngrams.pop(ngram, None)
        self._ngrams[ngram] = None
        for length in range(1, len(ngram)):
            self._latest[ngram[:length]] = ngram
        if len(self._ngrams) > self._most:
            self._drop(next(iter(self._ngrams)))

    def after(self, ids: Ids) -> int | None:
        """What follows as many of these last tokens as any n-gram begins with."""
        for start in range(len(ids)):
            ngram = self._latest.get(ids[start:])
            if ngram is not None:
                return ngram[len(ids) - start]
        return None

    def _drop(self, ngram: Ids) -> None:
        del self._ngrams[ngram]
        for length in range(1, len(ngram)):
            # A later one may have taken the beginning over.
            if self._latest.get(ngram[:length]) == ngram:
                del self._latest[ngram[:length]]


@dataclass(slots=True)
class _Text:
    """`asked_at` tokens stood there, `tail` last, when a draft was asked for."""

    pool: NgramPool
    trajectory: Trajectory = field(default_factory=Trajectory)
    asked_at: int = 0
    tail: Ids = ()


class Lookahead:
    """It asks no model but learns from what the target draws; a text costs `pool` n-grams at most.

    Its drafts are `window` tokens long, as far as a request allows, however few are kept: it is for where the
    places of a step are all but free.
    """

    def __init__(self, vocab_size: int, window: int = 8, ngram: int = 4, pool: int = 512) -> None:
        """window >= 1 tokens guessed at a time, ngram >= 2 tokens, pool >= 1 n-grams a text."""
        for name, value, least in (("window", window, 1), ("ngram", ngram, 2), ("pool", pool, 1)):
            if value < least:
                raise ConfigError(f"{name} is {value}; lookahead decoding needs at least {least}.")
        self.vocab_size = vocab_size
        self._window, self._ngram, self._pool = window, ngram, pool
        self._texts: dict[int, _Text] = {}

    @property
    def num_texts(self) -> int:
        """That are remembered."""
        return len(self._texts)

    def definition(self, text_id: int) -> LookaheadModel:
        """For a text as far as it was observed."""
        text = self._texts.get(text_id) or _Text(NgramPool(self._pool))
        return LookaheadModel(self.vocab_size, self._window, text.pool.ngrams, text.trajectory)

    def propose(self, requests: Sequence[DraftRequest]) -> list[Draft]:
        return [self._draft(request) for request in requests]

    def observe(self, text_id: int, draft: Draft, drawn_ids: Sequence[int]) -> None:
        """N-grams that end with what was drawn are met, the text's last; the rest is the trajectory."""
        text = self._texts.get(text_id)
        if text is None:
            return
        num_kept = draft.num_kept(drawn_ids)
        guessed = text.tail + draft.token_ids
        for place in reversed(range(len(drawn_ids))):
            ngram = (*guessed[: len(text.tail) + place], drawn_ids[place])[-self._ngram :]
            if len(ngram) == self._ngram:
                text.pool.meet(ngram)
        text.trajectory = Trajectory(text.asked_at + num_kept + 1, tuple(drawn_ids[num_kept + 1 :]))

    def forget(self, text_id: int) -> None:
        self._texts.pop(text_id, None)

    def _draft(self, request: DraftRequest) -> Draft:
        text = self._texts.get(request.text_id)
        if text is None:
            text = self._texts[request.text_id] = _Text(NgramPool(self._pool))
        ids, longest = list(request.context.token_ids), self._ngram - 1
        text.asked_at, text.tail = len(ids), tuple(ids[-longest:])
        draft, prob = GrowingDraft(request), prob_of(_BELIEF, _BELIEF, self.vocab_size)
        while not draft.is_full and draft.num_tokens < self._window:
            token_id = text.pool.after(tuple(ids[-longest:]))
            if token_id is None:
                token_id = _beside_pool(ids, text.trajectory, self._window)
            if token_id is None:
                break
            draft.add(token_id, prob)
            ids.append(token_id)
        return draft.taken()._replace(is_whole=draft.num_tokens > 0)
