"""Which sequences run in the next step. No torch here.

Every running sequence takes part in every step; a waiting one joins, first come first served, as soon as a
row, its blocks and the step's budget of positions allow, so prompts and single tokens share a step.

Not here yet: prompts in pieces, priorities and preemption. They belong in `schedule` and `_join`.
"""

from collections import deque
from collections.abc import Iterable

from potstill.engine.block_manager import BlockManager
from potstill.engine.params import EngineParams
from potstill.engine.sequence import Sequence

# Stands for a position that the model itself puts before a context.
_PREPENDED = -1


class Scheduler:
    def __init__(self, params: EngineParams, blocks: BlockManager) -> None:
        self._params, self._blocks = params, blocks
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._running)

    def add(self, sequence: Sequence) -> None:
        self._waiting.append(sequence)

    def schedule(self) -> list[Sequence]:
        """The rows of the next step; each runs its `num_new` positions."""
        budget = self._params.max_step_tokens - sum(sequence.num_new for sequence in self._running)
        while self._waiting and len(self._running) < self._params.max_batch:
            sequence = self._waiting[0]
            if not self._join(sequence, budget):
                break
            budget -= sequence.num_new
            self._running.append(self._waiting.popleft())
        return list(self._running)

    def retire(self, finished: Iterable[Sequence]) -> None:
        for sequence in finished:
            self._running.remove(sequence)
            self._blocks.release(sequence.block_table)
            sequence.block_table = []

    def drop_all(self) -> None:
        """Forget every sequence and what the cache holds, as after a step that was cut short."""
        self._waiting.clear()
        self.retire(list(self._running))
        self._blocks.forget()

    def _join(self, sequence: Sequence, budget: int) -> bool:
        position_ids = (_PREPENDED,) * sequence.num_prepended + sequence.prompt_ids
        num_new = len(position_ids) - self._blocks.num_shared(position_ids)
        # A prompt longer than any step's budget must not wait for ever: it runs once it is alone.
        if num_new > budget and self._running:
            return False
        allocation = self._blocks.allocate(position_ids, sequence.most_positions)
        if allocation is None:
            return False
        sequence.block_table, sequence.num_cached = allocation
        return True
