"""Any next-token model as a drafter: slow and obvious, what fast drafters are compared with."""

from collections.abc import Sequence
from math import exp

import numpy as np
import torch
from numpy.typing import NDArray

from potstill.engine.drafts.beliefs import is_favourite
from potstill.engine.drafts.draft import Draft, DraftRequest
from potstill.engine.drafts.growing_draft import GrowingDraft
from potstill.engine.repetition import NgramBan, distinct
from potstill.engine.sampling import draw_rows
from potstill.lm.context import Context
from potstill.lm.protocol import NextTokenModel


class ModelDraft:
    """Asks the definition token by token, and draws each as the target draws, with the number the target has.

    Probabilities are the model's own, before any filter, as those that a completion tells. Where the
    likeliest token is asked for and none is likelier than another, the draft ends: that is no guess.
    """

    def __init__(self, model: NextTokenModel) -> None:
        self.model = model

    @property
    def vocab_size(self) -> int:
        return self.model.vocab_size

    def propose(self, requests: Sequence[DraftRequest]) -> list[Draft]:
        return [self._draft(request) for request in requests]

    def observe(self, text_id: int, draft: Draft, drawn_ids: Sequence[int]) -> None:
        """A definition has no memory."""

    def forget(self, text_id: int) -> None:
        """Nothing is remembered."""

    def _draft(self, request: DraftRequest) -> Draft:
        draft, context = GrowingDraft(request), request.context
        while not draft.is_full:
            logprobs = torch.from_numpy(self.model.next_logprobs([context]))  # [1, V]
            if request.sampling.temperature == 0 and not is_favourite(exp(logprobs.max()), self.vocab_size):
                break
            drawn = draw_rows([_GuessedRow(request, context)], logprobs)
            draft.add(int(drawn.token_ids[0]), float(drawn.logprobs[0].exp()))
            context = Context(context.prompt_ids, (*context.output_ids, int(drawn.token_ids[0])))
        return draft.taken()


class _GuessedRow:
    """A text with its guesses, as drawing asks for it."""

    allowed = None

    def __init__(self, request: DraftRequest, context: Context) -> None:
        self.sampling, self._output_ids = request.sampling, context.output_ids
        self._uniforms = request.uniforms

    @property
    def seen_ids(self) -> NDArray[np.int64]:
        return distinct(self._output_ids)

    @property
    def banned_ids(self) -> set[int]:
        ban = NgramBan(self.sampling.no_repeat_ngram_size)
        for token_id in self._output_ids:
            ban.push(token_id)
        return ban.banned()

    def next_uniform(self) -> float:
        return self._uniforms.at(len(self._output_ids))
