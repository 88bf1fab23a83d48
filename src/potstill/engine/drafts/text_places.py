"""Where the texts that a draft model has read lie in its cache, and which of them make room. No torch here.

Only blocks of prompts are shared: what follows them is guessed in part, and may be taken back.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from collections.abc import Sequence as Many
from itertools import compress, count
from operator import ne

from potstill.engine.block_manager import BlockManager
from potstill.engine.drafts.draft import DraftRequest
from potstill.engine.placement import Placement
from potstill.engine.repetition import NgramBan
from potstill.engine.sequence import Sequence
from potstill.lm.context import Context
from potstill.lm.protocol import BatchedDecoder


class TextPlaces:
    """A text has a `Sequence` for as long as it has blocks. Those asked about longest ago make room first,
    and none of those that a call has asked about."""

    def __init__(self, decoder: BatchedDecoder) -> None:
        self._decoder = decoder
        self._blocks = BlockManager(decoder.num_blocks, decoder.block_size)
        self._placement = Placement(self._blocks)
        self._sequences: OrderedDict[int, Sequence] = OrderedDict()  # asked longest ago first
        self._asked: set[int] = set()

    @property
    def num_texts(self) -> int:
        return len(self._sequences)

    @property
    def num_blocks_used(self) -> int:
        return self._blocks.num_blocks - self._blocks.num_free

    def begin_call(self) -> None:
        """From now on all texts may make room, until they are asked about."""
        self._asked.clear()

    def place(self, request: DraftRequest) -> Sequence | None:
        """The text with blocks for all its positions, of which the last is never cached; None without room.

        What it has cached reaches as far as it agrees with the request's context.
        """
        text_id = request.text_id
        assert text_id not in self._asked, "a call asks about a text once"
        sequence = self._sequences.get(text_id)
        if sequence is None or sequence.prompt_ids != request.context.prompt_ids:
            self.forget(text_id)
            return self._placed_anew(request)
        self._note_asked(sequence)
        self._roll_back(sequence, request.context)
        if self.cover(sequence):
            return sequence
        self.forget(text_id)
        return None

    def cover(self, sequence: Sequence) -> bool:
        """Give it the blocks that its positions and its draft need; False, and none given, without room."""
        num_positions = sequence.num_positions + len(sequence.draft.token_ids)
        num_missing = self._blocks.num_blocks_for(num_positions) - len(sequence.block_table)
        if not self._make_room(lambda: num_missing):
            return False
        sequence.block_table += self._blocks.take(max(num_missing, 0))
        return True

    def forget(self, text_id: int) -> None:
        """Its blocks are free; what they hold of its prompt may still be found."""
        self._asked.discard(text_id)
        if (sequence := self._sequences.pop(text_id, None)) is not None:
            self._placement.clear(sequence)

    def clear(self) -> None:
        """Nothing is cached, as after a step that broke off."""
        self._sequences.clear()
        self._asked.clear()
        self._blocks.clear()

    def _placed_anew(self, request: DraftRequest) -> Sequence | None:
        context = request.context
        sequence = Sequence(
            sequence_id=request.text_id,
            prompt_ids=context.prompt_ids,
            sampling=request.sampling,
            num_prepended=self._decoder.num_prepended,
            encodes_prompt=self._decoder.encodes_prompt,
        )
        sequence.uniforms = request.uniforms
        num_prompt = sequence.num_positions
        blocks_for = self._blocks.num_blocks_for
        num_behind = blocks_for(num_prompt + context.num_output) - blocks_for(num_prompt)
        if not self._make_room(lambda: self._placement.num_taken([sequence]) + num_behind):
            return None
        self._note_asked(sequence)
        # Before the output is there, or blocks of another's prompt that go on like it would be found for it.
        self._placement.settle(sequence)
        _set_output(sequence, context.output_ids)
        is_covered = self.cover(sequence)
        assert is_covered, "room was made for all of it"
        self._placement.make_findable(sequence, num_prompt)
        return sequence

    def _note_asked(self, sequence: Sequence) -> None:
        text_id = sequence.sequence_id
        self._asked.add(text_id)
        self._sequences[text_id] = sequence
        self._sequences.move_to_end(text_id)

    def _roll_back(self, sequence: Sequence, context: Context) -> None:
        """Cached positions that the context has no more are no text's, and neither are blocks behind it."""
        first_output = sequence.num_positions - len(sequence.output_ids)
        num_kept = first_output + _num_agreeing(sequence.output_ids, context.output_ids)
        _set_output(sequence, context.output_ids)
        # The last position has to be run, or there would be nothing to draw from.
        sequence.num_cached = min(sequence.num_cached, num_kept, sequence.num_positions - 1)
        self._placement.trim(sequence)

    def _make_room(self, needed: Callable[[], int]) -> bool:
        """Let texts go until so many blocks are free; none goes where all of them would not do."""
        short = needed() - self._blocks.num_free
        if short > 0 and short > self._num_reclaimable():
            return False
        while needed() > self._blocks.num_free:
            oldest = next(iter(self._sequences), None)
            if oldest is None or oldest in self._asked:
                return False
            self.forget(oldest)
        return True

    def _num_reclaimable(self) -> int:
        """Blocks that only texts own which may go."""
        going = (sequence for text_id, sequence in self._sequences.items() if text_id not in self._asked)
        owners = Counter(
            block for sequence in going for block in (*sequence.encoder_table, *sequence.block_table)
        )
        return sum(count == self._blocks.num_owners(block) for block, count in owners.items())


def _set_output(sequence: Sequence, output_ids: Many[int]) -> None:
    sequence.output_ids = list(output_ids)
    if (size := sequence.sampling.no_repeat_ngram_size) > 0:
        sequence.ngram_ban = NgramBan(size)
        for token_id in output_ids:
            sequence.ngram_ban.push(token_id)


def _num_agreeing(first: Many[int], second: Many[int]) -> int:
    """Numbers that stand alike at the start of both."""
    return next(compress(count(), map(ne, first, second)), min(len(first), len(second)))
