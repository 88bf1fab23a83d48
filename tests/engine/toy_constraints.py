"""A constraint written out by hand, and one that breaks off."""

import numpy as np

from potstill.errors import UsageError

VOCAB_SIZE = 50


class Toy:
    """After token t a few may come, after some only one: a chain of these, then a choice again.

    EOS may come where the last token is even. After `ends_after` tokens the text has to end.
    """

    vocab_size = VOCAB_SIZE

    def __init__(self, eos_ids=(), ends_after=10_000):
        self.eos_ids, self.ends_after, self.taken = eos_ids, ends_after, []

    def next_ids(self, taken):
        last = taken[-1] if taken else 0
        if len(taken) >= self.ends_after:
            return set(self.eos_ids) or {0}
        if last % 5 == 3:
            return {(last * 3 + 4) % VOCAB_SIZE}
        some = {(last * 7 + step * 11 + 1) % VOCAB_SIZE for step in range(6)} - set(self.eos_ids)
        return some | (set(self.eos_ids) if last % 2 == 0 else set())

    def allowed(self):
        bits = np.zeros(-(-VOCAB_SIZE // 32) * 32, dtype=np.uint8)
        bits[sorted(self.next_ids(self.taken))] = 1
        return np.packbits(bits, bitorder="little").view("<i4")

    def forced(self):
        taken = list(self.taken)
        while len(ids := self.next_ids(taken)) == 1 and len(taken) < len(self.taken) + 100:
            taken += ids
        return tuple(taken[len(self.taken) :])

    @property
    def must_end(self):
        return len(self.taken) >= self.ends_after

    def num_valid(self, token_ids):
        taken = list(self.taken)
        for token_id in token_ids:
            if token_id not in self.next_ids(taken):
                break
            taken.append(token_id)
        return len(taken) - len(self.taken)

    def take(self, token_id):
        assert token_id in self.next_ids(self.taken)
        self.taken.append(token_id)

    def undo(self, num_tokens):
        assert num_tokens <= len(self.taken)
        del self.taken[len(self.taken) - num_tokens :]

    def fork(self):
        other = type(self)(self.eos_ids, self.ends_after)
        other.taken = list(self.taken)
        return other

    def unmet(self):
        is_whole = self.must_end or (self.taken and self.taken[-1] in self.eos_ids)
        return () if is_whole else ("It goes on.",)


class BreakingOff(Toy):
    """Cannot say what may come after the fourth token."""

    def allowed(self):
        if len(self.taken) >= 4:
            raise UsageError("The grammar is too much for the text so far.")
        return super().allowed()

    def num_valid(self, token_ids):
        return min(super().num_valid(token_ids), max(3 - len(self.taken), 0))
