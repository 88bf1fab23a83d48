"""Who owns which block of the KV cache, and which prompts share their beginnings. No torch here.

A full block of a prompt is found again by (the block before it, its own tokens): a chain of exact keys, so
two prompts share blocks as far as they agree and no hash can collide. A block whose last owner is gone stays
findable until its memory is needed; the longest unused goes first, and the end of a chain before its start.

Not here yet: taking blocks away from a running sequence. What a sequence can need at most is reserved when
it is admitted, so a running sequence always finishes.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

_Key = tuple[int, tuple[int, ...]]  # (node of the block before, this block's tokens)
_ROOT = 0


class Allocation(NamedTuple):
    """`block_table` covers every position; the first `num_cached` of them are shared and need no work."""

    block_table: list[int]
    num_cached: int


class BlockManager:
    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.num_blocks, self.block_size = num_blocks, block_size
        self._num_owners = [0] * num_blocks
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(num_blocks))  # first: next to be used
        self._block_of: dict[_Key, int] = {}
        self._key_of: dict[int, _Key] = {}
        self._node_of: dict[int, int] = {}
        self._new_node = count(_ROOT + 1)

    @property
    def num_free(self) -> int:
        return len(self._free)

    def num_blocks_for(self, num_positions: int) -> int:
        return -(-num_positions // self.block_size)

    def num_shared(self, position_ids: Sequence[int]) -> int:
        """Positions of a prompt that lie in known blocks; never all, since the last one has to be run."""
        return len(self._shared_blocks(position_ids)) * self.block_size

    def allocate(self, position_ids: Sequence[int], most_positions: int) -> Allocation | None:
        """Blocks for a prompt that may grow to `most_positions`, or None while too few are free.

        The prompt's full blocks can be shared from now on: the caller runs it in the coming step.
        """
        shared = self._shared_blocks(position_ids)
        num_fresh = self.num_blocks_for(most_positions) - len(shared)
        if num_fresh > self.num_free - sum(not self._num_owners[block] for block in shared):
            return None
        for block in shared:
            self._num_owners[block] += 1
            self._free.pop(block, None)
        table = shared + [self._take_fresh() for _ in range(num_fresh)]
        self._make_findable(table, position_ids)
        return Allocation(table, len(shared) * self.block_size)

    def release(self, block_table: Sequence[int]) -> None:
        for block in reversed(block_table):
            self._num_owners[block] -= 1
            assert self._num_owners[block] >= 0, "a block was released twice"
            if not self._num_owners[block]:
                self._free[block] = None
                if block not in self._key_of:
                    self._free.move_to_end(block, last=False)

    def forget(self) -> None:
        """No prompt shares what is in the cache now."""
        for block in list(self._key_of):
            self._drop_key(block)

    def _blocks_of(self, position_ids: Sequence[int], num_full: int) -> Iterator[tuple[int, ...]]:
        for index in range(num_full):
            yield tuple(position_ids[index * self.block_size : (index + 1) * self.block_size])

    def _shared_blocks(self, position_ids: Sequence[int]) -> list[int]:
        shared: list[int] = []
        node = _ROOT
        for tokens in self._blocks_of(position_ids, (len(position_ids) - 1) // self.block_size):
            block = self._block_of.get((node, tokens))
            if block is None:
                break
            shared.append(block)
            node = self._node_of[block]
        return shared

    def _take_fresh(self) -> int:
        block, _ = self._free.popitem(last=False)
        if block in self._key_of:
            self._drop_key(block)
        self._num_owners[block] = 1
        return block

    def _make_findable(self, table: Sequence[int], position_ids: Sequence[int]) -> None:
        node = _ROOT
        for block, tokens in zip(
            table, self._blocks_of(position_ids, len(position_ids) // self.block_size), strict=False
        ):
            key = (node, tokens)
            if key not in self._block_of:
                self._block_of[key], self._key_of[block] = block, key
                self._node_of[block] = next(self._new_node)
            node = self._node_of[self._block_of[key]]

    def _drop_key(self, block: int) -> None:
        del self._block_of[self._key_of.pop(block)]
        del self._node_of[block]
