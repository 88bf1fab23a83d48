"""Where a sequence's positions lie: it is given blocks, finds known ones, shares them and gives them back.

No torch here.
"""

from collections.abc import Sequence as Many

from potstill.engine.block_manager import BlockManager, Chain, TokensOfBlock
from potstill.engine.sequence import NO_DRAFT, Sequence


class Placement:
    """`num_shared` counts positions of prompts that were found in the cache instead of being run."""

    def __init__(self, blocks: BlockManager) -> None:
        self._blocks = blocks
        self.num_shared = 0

    def num_taken(self, sequences: Many[Sequence]) -> int:
        """Free blocks that it takes, at most, to settle sequences of one prompt."""
        first, num_taken = sequences[0], 0
        if first.encodes_prompt:
            encoded = self._blocks.encoded(first.prompt_ids)
            num_taken += self._num_taken(encoded.block_table if encoded else (), len(first.prompt_ids))
        for sequence in sequences:
            root = self._root(sequence)
            known = [] if root is None else self._known(Chain(root), sequence)
            num_taken += self._num_taken(known, sequence.num_positions + sequence.num_guessed)
        return num_taken

    def has_to_encode(self, sequence: Sequence) -> bool:
        """Whether a sequence that is not settled yet would have to run the encoder."""
        return sequence.encodes_prompt and self._blocks.encoded(sequence.prompt_ids) is None

    def settle(self, sequence: Sequence) -> None:
        """Give a sequence blocks for all positions it has, known ones first; enough must be free."""
        if sequence.encodes_prompt:
            sequence.has_to_encode = self.has_to_encode(sequence)
            if sequence.has_to_encode:
                self._blocks.take_for_encoder(sequence.prompt_ids)
            else:
                self._blocks.share(self._blocks.encoder_table(sequence.prompt_ids))
            sequence.encoder_table = self._blocks.encoder_table(sequence.prompt_ids)
        root = self._root(sequence)
        assert root is not None
        sequence.chain = Chain(root)
        self.adopt(sequence)
        is_covered = self.cover(sequence)
        assert is_covered, "blocks are promised before they are free"

    def adopt(self, sequence: Sequence) -> None:
        """Go on from blocks that others have filled, instead of filling one's own."""
        first = sequence.chain.num_blocks
        known = self._known(sequence.chain, sequence)
        if not known:
            return
        self._blocks.share(known)
        self._blocks.release(sequence.block_table[first : first + len(known)])
        sequence.block_table[first : first + len(known)] = known
        before, sequence.num_cached = sequence.num_cached, sequence.chain.num_blocks * self._blocks.block_size
        # What was put out finds its own output again, too.
        prompt_end = sequence.num_positions - len(sequence.output_ids)
        self.num_shared += min(sequence.num_cached, prompt_end) - min(before, prompt_end)

    def cover(self, sequence: Sequence) -> bool:
        """Add the blocks that its positions need, and those that a search guesses; False, and nothing added,
        while too few are free."""
        num_positions = sequence.num_positions + sequence.num_guessed
        num_missing = self._blocks.num_blocks_for(num_positions) - len(sequence.block_table)
        if num_missing > self._blocks.num_free:
            return False
        if num_missing > 0:
            sequence.block_table += self._blocks.take(num_missing)
        return True

    def cover_draft(self, sequence: Sequence, most: int) -> int:
        """Blocks for as much of its draft as fits into those that are free: how many of its tokens, at most
        `most`. What it has itself is covered already."""
        num_positions, size = sequence.num_positions, self._blocks.block_size
        num_there = (len(sequence.block_table) + self._blocks.num_free) * size
        num_drafted = min(len(sequence.draft.token_ids), most, num_there - num_positions)
        num_missing = self._blocks.num_blocks_for(num_positions + num_drafted) - len(sequence.block_table)
        sequence.block_table += self._blocks.take(max(num_missing, 0))
        return num_drafted

    def trim(self, sequence: Sequence) -> None:
        """Give back the blocks behind its last position."""
        num_blocks = self._blocks.num_blocks_for(sequence.num_positions)
        if num_blocks < len(sequence.block_table):
            self._blocks.release(sequence.block_table[num_blocks:])
            del sequence.block_table[num_blocks:]

    def make_findable(self, sequence: Sequence, num_positions: int) -> None:
        """Let others find the blocks that are full once the coming step has run so many positions."""
        num_full = num_positions // self._blocks.block_size
        if num_full > sequence.chain.num_blocks:
            tokens_of = self._tokens_of(sequence)
            self._blocks.make_findable(sequence.chain, sequence.block_table, tokens_of, num_full)

    def fork(self, parent: Sequence, child: Sequence) -> list[tuple[int, int]]:
        """Let `child`, which has the parent's tokens, share its full blocks; the pair of blocks to copy.

        Without a free block for the one half full, the child has to run those positions again.
        """
        num_full = parent.num_cached // self._blocks.block_size
        child.block_table, child.chain = parent.block_table[:num_full], parent.chain.copy()
        child.encoder_table = parent.encoder_table
        self._blocks.share([*child.block_table, *child.encoder_table])
        child.num_cached = num_full * self._blocks.block_size
        if child.num_cached == parent.num_cached or not self._blocks.num_free:
            return []
        child.block_table += self._blocks.take(1)
        child.num_cached = parent.num_cached
        return [(parent.block_table[num_full], child.block_table[num_full])]

    def clear(self, sequence: Sequence) -> None:
        """Give back all a sequence has."""
        self._blocks.release([*sequence.encoder_table, *sequence.block_table])
        sequence.block_table, sequence.chain, sequence.num_cached = [], Chain(), 0
        sequence.encoder_table, sequence.has_to_encode = (), False
        sequence.draft = NO_DRAFT

    def _root(self, sequence: Sequence) -> int | None:
        """Where the chains of texts begin that may share with this one; None before its prompt is encoded."""
        if not sequence.encodes_prompt:
            return Chain().node
        encoded = self._blocks.encoded(sequence.prompt_ids)
        return encoded.root if encoded else None

    def _known(self, chain: Chain, sequence: Sequence) -> list[int]:
        # The last position has to be run, or there would be nothing to draw from.
        most = (sequence.num_positions - 1) // self._blocks.block_size
        return self._blocks.known(chain, self._tokens_of(sequence), most)

    def _tokens_of(self, sequence: Sequence) -> TokensOfBlock:
        size = self._blocks.block_size
        return lambda block: sequence.ids_between(block * size, (block + 1) * size)

    def _num_taken(self, known: Many[int], num_positions: int) -> int:
        num_fresh = self._blocks.num_blocks_for(num_positions) - len(known)
        return num_fresh + sum(not self._blocks.num_owners(block) for block in known)
