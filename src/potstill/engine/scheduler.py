"""Which sequences run in the next step, and how much of each. No torch here.

Groups take part in the order of their ranks: the higher priority first, then the one that came first. Those
that write one token a row always do; what is left of the step's budget goes to prompts, in pieces that fit,
and then lets waiting groups in. A group is let in once blocks for all it has so far are free, and one more
for each that runs; what it writes later takes block by block. Where blocks run out, the group of the lowest
rank is put out: its blocks go, its output stays, and later it is run again from its beginning, as far as that
is not found in the cache. A waiting group puts out those of a lower priority where it finds no room.

Tokens that are only guessed come last: they take positions and blocks that nobody else wants in this step,
and give the blocks back when it is over. What a search guesses is no such draft: what it finds hangs on it.
So it is run whole, and a search for which a step has no room left sits it out.

Since groups are gone through in the order of their ranks and the lowest goes first, none is put out that
takes part in the step already.
"""

from collections.abc import Set
from typing import NamedTuple

from potstill.engine.block_manager import BlockManager
from potstill.engine.drafts.draft import Draft
from potstill.engine.group import Group
from potstill.engine.params import EngineParams
from potstill.engine.placement import Placement
from potstill.engine.sequence import NO_DRAFT, Sequence
from potstill.engine.waiting import WaitingQueue


class Share(NamedTuple):
    """A sequence's part of a step: its next `num_new` positions, and its prompt's encoding where asked.

    Tokens are drawn after the last `num_logits` of them: all but the first of these are guesses.
    """

    sequence: Sequence
    num_new: int
    num_logits: int
    encodes: bool = False

    @property
    def num_drafted(self) -> int:
        return max(self.num_logits - 1, 0)

    @property
    def has_draft(self) -> bool:
        """Whether it has guesses that change nothing but the time it takes."""
        return self.num_drafted > 0 and self.sequence.looked_at is None

    @property
    def is_writing(self) -> bool:
        """Whether tokens are drawn after all of its positions."""
        return self.num_new == self.num_logits and not self.encodes

    def with_draft(self) -> "Share":
        """The same and the sequence's draft, in place of any it had."""
        num_drafted = len(self.sequence.draft.token_ids)
        num_new = self.num_new - self.num_drafted + num_drafted
        return self._replace(num_new=num_new, num_logits=1 + num_drafted)

    @property
    def cost(self) -> int:
        """Positions to be run, those of an encoder included."""
        return self.num_new + (len(self.sequence.prompt_ids) if self.encodes else 0)

    @property
    def num_prompt_positions(self) -> int:
        """Those of the positions that a prompt has, before they are run."""
        sequence = self.sequence
        left = sequence.num_positions - len(sequence.output_ids) - sequence.num_cached
        return min(max(left, 0), self.num_new)


class Scheduler:
    def __init__(self, params: EngineParams, blocks: BlockManager) -> None:
        self._params, self._blocks = params, blocks
        self._placement = Placement(blocks)
        self._waiting = WaitingQueue()
        self._running: list[Group] = []  # by rank
        self._group_of: dict[Sequence, Group] = {}
        self._num_rows = 0
        self._budget = 0
        self._has_prefilled = False
        self.num_preemptions = 0

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._running)

    @property
    def num_positions_shared(self) -> int:
        """Positions of prompts found in the cache so far instead of being run."""
        return self._placement.num_shared

    def add(self, group: Group) -> None:
        self._group_of.update(dict.fromkeys(group.rows, group))
        self._waiting.push(group)

    def group_of(self, sequence: Sequence) -> Group | None:
        """None for a sequence that is not in the engine, or no more."""
        return self._group_of.get(sequence)

    @property
    def num_decoding(self) -> int:
        """Rows that need a single position each in the coming step."""
        return sum(len(group.rows) for group in self._running if group.is_decoding)

    def drafting_rows(self) -> list[Sequence]:
        """Rows for which a draft is of use in the coming step, if they are not put out in it."""
        return [row for group in self._running if group.is_decoding for row in group.drafting_rows]

    def schedule(self) -> list[Share]:
        """The coming step. A share's sequence is before all that read what it writes.

        Drafts are cut to what is left of the step and its blocks once all else has its part.
        """
        return [self._with_draft(share) for share in self._shares()]

    def end_draft(self, sequence: Sequence) -> None:
        """What was guessed of it is known to be right or wrong."""
        sequence.draft = NO_DRAFT
        self._placement.trim(sequence)

    def retire(self, sequence: Sequence) -> None:
        """It runs no more; a group without rows is gone."""
        group = self._group_of.pop(sequence)
        self._placement.clear(sequence)
        group.rows.remove(sequence)
        if not group.rows:
            self._leave(group)

    def cancel(self, group: Group) -> None:
        """Waiting or running, it is gone at once, and so are its blocks."""
        for sequence in list(group.rows):
            self.retire(sequence)

    def put_out(self, group: Group) -> None:
        """Take a running group's blocks; it waits at its old place and keeps what it has written."""
        self._running.remove(group)
        self._num_rows -= group.most_rows
        for sequence in group.rows:
            self._placement.clear(sequence)
        self._waiting.push(group)
        self.num_preemptions += 1

    def put_out_all_but(self, kept: Set[Group]) -> None:
        for group in [one for one in self._running if one not in kept]:
            self.put_out(group)

    def fork(self, parent: Sequence, child: Sequence) -> list[tuple[int, int]]:
        """Let `child`, which has the parent's tokens, run in its group; blocks (source, target) to be copied
        before the next step."""
        group = self._group_of[child] = self._group_of[parent]
        group.rows.append(child)
        return self._placement.fork(parent, child)

    def drop_all(self) -> None:
        """Forget every sequence and what the cache holds, as after a step that was cut short.

        Nothing is taken apart piece by piece: it may be half changed.
        """
        self._waiting.clear()
        self._running.clear()
        self._group_of.clear()
        self._num_rows = 0
        self._blocks.clear()

    def _shares(self) -> list[Share]:
        self._has_prefilled = False
        self._budget = self._params.max_step_tokens - self.num_decoding
        shares: list[Share] = []
        turn, may_join = 0, True
        while True:
            group = self._running[turn] if turn < len(self._running) else None
            newcomer = self._waiting.first() if may_join else None
            if newcomer and (group is None or newcomer.rank < group.rank):
                may_join = self._join(newcomer, turn)
            elif group is None:
                return shares
            elif (new_shares := self._shares_of(group)) is not None:
                shares += new_shares
                turn += 1
            else:
                # What was put out for want of blocks must not come back at once.
                may_join = False

    def _leave(self, group: Group) -> None:
        if group in self._waiting:
            self._waiting.remove(group)
        else:
            self._running.remove(group)
            self._num_rows -= group.most_rows

    def _join(self, group: Group, turn: int) -> bool:
        """Let a waiting group in, at its place among those that run, if need be instead of lower ones."""
        if self._is_encoded_later(group):
            return False
        while not self._has_room_for(group):
            last = self._running[-1] if len(self._running) > turn else None
            if last is None or last.priority >= group.priority:
                return False
            if last.is_decoding:
                self._budget += len(last.rows)
            self.put_out(last)
        self._waiting.remove(group)
        self._running.insert(turn, group)
        self._num_rows += group.most_rows
        for sequence in group.rows:
            self._placement.settle(sequence)
        if group.is_decoding:
            self._budget -= len(group.rows)
        return True

    def _is_encoded_later(self, group: Group) -> bool:
        """A prompt too long for what is left of a step is encoded where no other prompt takes part."""
        first = group.rows[0]
        is_too_long = len(first.prompt_ids) + group.num_new > self._budget
        return is_too_long and self._has_prefilled and self._placement.has_to_encode(first)

    def _has_room_for(self, group: Group) -> bool:
        if self._budget < 1 or self._num_rows + group.most_rows > self._params.most_rows:
            return False
        # Without a block to spare for each that runs, the newcomer would soon be put out again. Alone it has
        # the whole cache, which `Engine.add` found large enough.
        return self._placement.num_taken(group.rows) + self._num_rows <= self._blocks.num_free

    def _shares_of(self, group: Group) -> list[Share] | None:
        """A group's part of the coming step, empty while the budget is spent; None where it was put out."""
        is_decoding, num_guessed = group.is_decoding, group.num_guessed
        if is_decoding and num_guessed > self._budget:
            return []
        for row in group.rows:
            if not self._make_room_for(row):
                return None
        encodes = any(row.has_to_encode for row in group.rows)
        is_whole = is_decoding or encodes or group.num_new + num_guessed <= self._budget
        self._budget -= num_guessed if is_whole else 0
        shares: list[Share] = []
        for row in group.rows:
            if not is_decoding:
                self._placement.adopt(row)
            # The last positions of a group's rows are run together, for their tokens are chosen together.
            num_new = row.num_new if is_whole else min(row.num_new - 1, self._budget)
            if num_new < 1:
                continue
            shares.append(Share(row, num_new, num_logits=int(is_whole), encodes=row.has_to_encode))
            row.has_to_encode = False
            self._placement.make_findable(row, row.num_cached + num_new)
            if not is_decoding:
                self._budget -= shares[-1].cost
                self._has_prefilled = True
        return shares

    def _make_room_for(self, sequence: Sequence) -> bool:
        """Blocks for all its positions, taken from lower ranks if need be; False where it was put out."""
        while not self._placement.cover(sequence):
            last = self._running[-1]
            self.put_out(last)
            if sequence in last.rows:
                return False
        return True

    def _with_draft(self, share: Share) -> Share:
        sequence = share.sequence
        if sequence.looked_at is not None:
            sequence.draft = Draft(sequence.looked_at.guessed_ids if share.num_logits else ())
            return share.with_draft() if share.num_logits else share
        if not sequence.draft.token_ids:
            return share
        num_drafted = self._placement.cover_draft(sequence, max(self._budget, 0))
        sequence.draft = sequence.draft.cut(num_drafted)
        self._budget -= num_drafted
        return share.with_draft()
