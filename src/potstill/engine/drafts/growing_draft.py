"""A draft in the making. No torch here."""

from potstill.engine.drafts.draft import Draft, DraftRequest


class GrowingDraft:
    """Guesses are added until the draft is as long, or as unlikely, as its request says."""

    def __init__(self, request: DraftRequest) -> None:
        self._most_tokens, self._least_prob = request.most_tokens, request.least_prob
        self._token_ids: list[int] = []
        self._probs: list[float] = []
        self._prob = 1.0

    @property
    def is_full(self) -> bool:
        return len(self._token_ids) >= self._most_tokens or self._prob < self._least_prob

    @property
    def num_tokens(self) -> int:
        return len(self._token_ids)

    def add(self, token_id: int, prob: float) -> None:
        self._token_ids.append(token_id)
        self._probs.append(prob)
        self._prob *= prob

    def taken(self) -> Draft:
        return Draft(tuple(self._token_ids), tuple(self._probs))
