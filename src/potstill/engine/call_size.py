"""How much one call of the model may run: a step is one call, until memory runs out. No torch here."""

from collections.abc import Sequence as Many

from potstill.engine.scheduler import Share

# After so many steps without a failure, twice as much is tried again.
_CALM_STEPS = 32
# Above any step's positions.
_ANY_STEP = 1 << 31


class CallSize:
    """Positions a call may run, without drafts by then; no bound where no call has failed.

    Positions that are drawn from stay in one call: what a search has guessed is seen at once.
    """

    def __init__(self) -> None:
        self._most: int | None = None
        self._num_calm = 0

    @property
    def is_limited(self) -> bool:
        """Whether a call has failed lately: then nothing is run that need not be."""
        return self._most is not None

    def split(self, shares: Many[Share]) -> list[list[Share]]:
        """The calls of a step, in order: what a share reads of another's is run before it or with it."""
        if self._most is None:
            return [list(shares)] if shares else []
        calls: list[list[Share]] = []
        room = 0
        for share in self._pieces(shares, self._most):
            # A piece begins where the one before it has ended, which is known once that has run.
            is_next_piece = bool(calls) and calls[-1][-1].sequence is share.sequence
            if share.cost > room or is_next_piece:
                calls.append([])
                room = self._most
            calls[-1].append(share)
            room -= share.cost
        return calls

    def halve(self, call: Many[Share]) -> bool:
        """A call found no memory; whether a smaller one can be tried."""
        if len(call) == 1 and call[0].num_new <= max(call[0].num_logits, 1):
            return False
        self._most = max(1, sum(share.cost for share in call) // 2)
        self._num_calm = 0
        return True

    def note_success(self) -> None:
        """A step went through."""
        self._num_calm += 1
        if self._most is not None and self._num_calm % _CALM_STEPS == 0:
            self._most *= 2
            if self._most >= _ANY_STEP:
                self.reset()

    def reset(self) -> None:
        self._most = None

    def _pieces(self, shares: Many[Share], most: int) -> list[Share]:
        """Shares that are cut where they cost too much; only the last piece of one is drawn from."""
        pieces: list[Share] = []
        for share in shares:
            num_last = max(share.num_logits, 1)
            while share.cost > most and share.num_new > num_last:
                num_new = max(1, min(share.num_new - num_last, most - (share.cost - share.num_new)))
                pieces.append(share._replace(num_new=num_new, num_logits=0))
                share = share._replace(num_new=share.num_new - num_new, encodes=False)
            pieces.append(share)
        return pieces
