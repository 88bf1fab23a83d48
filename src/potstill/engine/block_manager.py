"""Who owns which block of the KV cache, and which texts share their beginnings. No torch here.

A full block is found again by (the block before it, its own tokens): a chain of exact keys, so two texts
share blocks as far as they agree and no hash can collide. A chain begins at a root: one for all texts of a
decoder, one for each prompt that an encoder has read, whose own blocks are found by the whole prompt only. A
block is made findable in the step that fills it and never before, so what is found is written before it is
read.

A block whose last owner is gone stays findable until its memory is needed; the longest unused goes first, and
the end of a chain before its start.

Not here: blocks that all layers' windows have left behind. Keys and values of a position lie in one block for
all layers, so nothing could be freed while one layer sees everything, as in every model with windows so far.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

_Key = tuple[int, tuple[int, ...]]  # (node of the block before, this block's tokens)
_ROOT = 0

TokensOfBlock = Callable[[int], tuple[int, ...]]


@dataclass(slots=True)
class Chain:
    """How far the full blocks of a text are known: the first `num_blocks`, the last of them `node`."""

    node: int = _ROOT
    num_blocks: int = 0

    def copy(self) -> "Chain":
        return Chain(self.node, self.num_blocks)


class Encoded(NamedTuple):
    """Blocks with what an encoder made of a prompt, and the root of the texts that read them."""

    block_table: tuple[int, ...]
    root: int


class BlockManager:
    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.num_blocks, self.block_size = num_blocks, block_size
        self.clear()

    def clear(self) -> None:
        """Nobody owns a block, and nobody finds what is in one."""
        self._num_owners = [0] * self.num_blocks
        # The first is the next to be used.
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(self.num_blocks))
        self._block_of: dict[_Key, int] = {}
        self._key_of: dict[int, _Key] = {}
        self._node_of: dict[int, int] = {}
        self._encoded: dict[tuple[int, ...], Encoded] = {}
        self._prompt_of: dict[int, tuple[int, ...]] = {}
        self._new_node = count(_ROOT + 1)

    @property
    def num_free(self) -> int:
        return len(self._free)

    def num_blocks_for(self, num_positions: int) -> int:
        return -(-num_positions // self.block_size)

    def num_owners(self, block: int) -> int:
        return self._num_owners[block]

    def take(self, num_blocks: int) -> list[int]:
        """Blocks of one's own; so many must be free."""
        return [self._take_fresh() for _ in range(num_blocks)]

    def share(self, blocks: Sequence[int]) -> None:
        """One more owner for each."""
        for block in blocks:
            self._num_owners[block] += 1
            self._free.pop(block, None)

    def release(self, blocks: Sequence[int]) -> None:
        """One owner fewer for each."""
        for block in reversed(blocks):
            self._num_owners[block] -= 1
            assert self._num_owners[block] >= 0, "a block was released twice"
            if not self._num_owners[block]:
                self._free[block] = None
                if block not in self._key_of and block not in self._prompt_of:
                    self._free.move_to_end(block, last=False)

    def known(self, chain: Chain, tokens_of: TokensOfBlock, most: int) -> list[int]:
        """Blocks that go on from a chain, up to `most` of the text altogether; the chain goes along."""
        found: list[int] = []
        while chain.num_blocks < most:
            block = self._block_of.get((chain.node, tokens_of(chain.num_blocks)))
            if block is None:
                break
            found.append(block)
            chain.node = self._node_of[block]
            chain.num_blocks += 1
        return found

    def make_findable(
        self, chain: Chain, block_table: Sequence[int], tokens_of: TokensOfBlock, num_full: int
    ) -> None:
        """Let others find a text's first `num_full` blocks; the coming step fills those that are not."""
        while chain.num_blocks < num_full:
            key = (chain.node, tokens_of(chain.num_blocks))
            block = self._block_of.get(key)
            if block is None:
                block = block_table[chain.num_blocks]
                assert block not in self._key_of, "a block holds one text only"
                self._block_of[key], self._key_of[block] = block, key
                self._node_of[block] = next(self._new_node)
            chain.node = self._node_of[block]
            chain.num_blocks += 1

    def encoded(self, prompt_ids: tuple[int, ...]) -> Encoded | None:
        """Where this whole prompt is encoded, if it is."""
        return self._encoded.get(prompt_ids)

    def encoder_table(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...]:
        """The blocks of a prompt that is encoded."""
        return self._encoded[prompt_ids].block_table

    def take_for_encoder(self, prompt_ids: tuple[int, ...]) -> None:
        """Blocks for a prompt's encoder, findable from now on: the coming step encodes it."""
        assert prompt_ids not in self._encoded
        blocks = tuple(self.take(self.num_blocks_for(len(prompt_ids))))
        self._encoded[prompt_ids] = Encoded(blocks, next(self._new_node))
        self._prompt_of.update(dict.fromkeys(blocks, prompt_ids))

    def forget(self) -> None:
        """Nobody finds what is in the cache now."""
        for block in [*self._key_of, *self._prompt_of]:
            self._drop_name(block)

    def _take_fresh(self) -> int:
        block, _ = self._free.popitem(last=False)
        self._drop_name(block)
        self._num_owners[block] = 1
        return block

    def _drop_name(self, block: int) -> None:
        if block in self._key_of:
            del self._block_of[self._key_of.pop(block)]
            del self._node_of[block]
        elif block in self._prompt_of:
            # An encoded prompt is whole or of no use.
            for one in self._encoded.pop(self._prompt_of[block]).block_table:
                del self._prompt_of[one]
