"""The scheduler with its blocks, against a cache that remembers what was written where."""

import random

import pytest

from potstill.engine.block_manager import BlockManager
from potstill.engine.group import Group
from potstill.engine.params import EngineParams
from potstill.engine.scheduler import Scheduler
from potstill.engine.sequence import Sequence
from potstill.types import SamplingParams

BLOCK_SIZE = 4


class World:
    """Adds texts and runs steps; every position that is read must hold its own text, written before."""

    def __init__(self, num_blocks=24, *, encodes=False, num_prepended=1, **params):
        self.blocks = BlockManager(num_blocks, BLOCK_SIZE)
        self.params = EngineParams(**params)
        self.scheduler = Scheduler(self.params, self.blocks)
        self.cache: dict[tuple[int, int], object] = {}
        self.alive: list[Sequence] = []
        self.encodes, self.num_prepended, self.count = encodes, num_prepended, 0
        self.num_encoded = 0

    def add(self, prompt, max_tokens=4, priority=0):
        sequence = Sequence(
            sequence_id=self.count,
            prompt_ids=tuple(prompt),
            sampling=SamplingParams(max_tokens=max_tokens),
            num_prepended=self.num_prepended,
            encodes_prompt=self.encodes,
        )
        self.scheduler.add(Group(rows=[sequence], arrival=self.count, priority=priority))
        self.alive.append(sequence)
        self.count += 1
        return sequence

    def cancel(self, sequence):
        self.scheduler.cancel(self.scheduler.group_of(sequence))
        self.alive.remove(sequence)
        assert not sequence.block_table and not sequence.encoder_table

    def step(self, next_token=lambda sequence: 0):
        shares = self.scheduler.schedule()
        for share in shares:
            self._write(share)
        # Those that take no part must find theirs untouched too.
        num_new = {share.sequence: share.num_new for share in shares}
        for sequence in self.alive:
            self._read(sequence, sequence.num_cached + num_new.get(sequence, 0))
        self._check_order(shares)
        for share in shares:
            sequence = share.sequence
            sequence.num_cached += share.num_new
            assert (share.num_logits > 0) == (sequence.num_new == 0)
            if share.num_logits:
                sequence.take(next_token(sequence), 0.0, is_eos=False)
                if sequence.is_finished:
                    self.scheduler.retire(sequence)
                    self.alive.remove(sequence)
        self.check_owners()
        return shares

    def _content(self, sequence, position):
        """All that a position's keys and values depend on."""
        before = sequence.ids_between(0, position + 1)
        return (sequence.prompt_ids if self.encodes else None, before)

    def _slot(self, table, position):
        return table[position // BLOCK_SIZE], position % BLOCK_SIZE

    def _write(self, share):
        sequence = share.sequence
        if share.encodes:
            self.num_encoded += 1
            for position in range(len(sequence.prompt_ids)):
                self.cache[self._slot(sequence.encoder_table, position)] = ("encoded", sequence.prompt_ids)
        for position in range(sequence.num_cached, sequence.num_cached + share.num_new):
            slot = self._slot(sequence.block_table, position)
            self.cache[slot] = self._content(sequence, position)

    def _read(self, sequence, num_positions):
        for position in range(num_positions):
            slot = self._slot(sequence.block_table, position)
            assert self.cache[slot] == self._content(sequence, position)
        for position in range(len(sequence.prompt_ids) if sequence.encoder_table else 0):
            slot = self._slot(sequence.encoder_table, position)
            assert self.cache[slot] == ("encoded", sequence.prompt_ids)

    def _check_order(self, shares):
        """What a share reads, it has or one before it in the step writes."""
        written = set()
        late = {
            self._slot(share.sequence.block_table, position)
            for share in shares
            for position in range(share.sequence.num_cached, share.sequence.num_cached + share.num_new)
        }
        for share in shares:
            sequence = share.sequence
            for position in range(sequence.num_cached):
                slot = self._slot(sequence.block_table, position)
                assert slot in written or slot not in late
            for position in range(sequence.num_cached, sequence.num_cached + share.num_new):
                written.add(self._slot(sequence.block_table, position))

    def check_owners(self):
        held = [block for one in self.alive for block in (*one.block_table, *one.encoder_table)]
        owners = [held.count(block) for block in range(self.blocks.num_blocks)]
        assert owners == [self.blocks.num_owners(block) for block in range(self.blocks.num_blocks)]
        assert self.blocks.num_free == owners.count(0)

    def finish(self, most_steps=3000):
        steps = []
        while self.alive:
            steps.append(self.step())
            assert steps[-1] and len(steps) < most_steps, "nothing moves"
        return steps


def sizes(shares):
    return [share.num_new for share in shares]


@pytest.mark.parametrize("encodes", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_no_text_ever_reads_what_is_not_its_own(seed, encodes):
    """Equal and nearly equal prompts, too few blocks, small steps, priorities, and texts given up."""
    rng = random.Random(seed)
    world = World(
        num_blocks=rng.choice([12, 17, 40]),
        encodes=encodes,
        num_prepended=1 if encodes else rng.randrange(2),
        max_batch=rng.choice([1, 3, 6]),
        max_step_tokens=rng.choice([6, 9, 64]),
    )
    for _ in range(700):
        if len(world.alive) < 12 and rng.random() < 0.35:
            prompt = [rng.choice((0, 0, 0, 1)) for _ in range(rng.randrange(1, 22))]
            world.add(prompt, rng.randrange(1, 20), rng.choice((0, 0, 0, 1, 2)))
        if world.alive and rng.random() < 0.05:
            world.cancel(rng.choice(world.alive))
        shares = world.step(lambda sequence: rng.choice((0, 0, 0, 1)))
        assert bool(shares) or not world.alive
        prompts = [share for share in shares if share.encodes]
        assert sum(sizes(shares)) <= world.params.max_step_tokens or prompts
    world.finish()
    assert world.blocks.num_free == world.blocks.num_blocks
    assert not world.scheduler.num_running and not world.scheduler.num_waiting


def test_a_prompt_runs_in_pieces_beside_texts_that_go_on():
    world = World(num_blocks=40, max_batch=4, max_step_tokens=8)
    for _ in range(3):
        world.add([5], max_tokens=9)
    world.step()
    world.add(range(20), max_tokens=2)
    steps = [sizes(world.step()) for _ in range(6)]
    assert steps == [[1, 1, 1, 5]] * 4 + [[1, 1, 1, 1]] * 2


def test_the_second_of_two_equal_prompts_waits_for_the_first_and_shares_it():
    world = World(num_blocks=40, max_batch=4, max_step_tokens=10)
    world.add(range(24))
    world.add(range(24))
    assert [sizes(world.step()) for _ in range(3)] == [[10], [10], [5, 1]]
    assert world.scheduler.num_positions_shared == 24


def test_a_prompt_goes_on_from_blocks_that_another_has_filled_meanwhile():
    world = World(num_blocks=60, max_batch=4, max_step_tokens=12)
    first = world.add(range(40))
    assert sizes(world.step()) == [12]
    # It comes with the same beginning, and a higher priority that lets it overtake.
    second = world.add(range(41), priority=1)
    steps = [sizes(world.step()) for _ in range(3)]
    # What the second fills, the first does not run: it has only its last position left of its own.
    assert steps == [[12], [12], [6, 1]] and first.output_ids and second.output_ids


def test_the_later_of_two_is_put_out_where_blocks_run_out_and_goes_on_afterwards():
    world = World(num_blocks=6, max_batch=2, max_step_tokens=64)
    first, second = world.add([1, 1], max_tokens=14), world.add([2, 2], max_tokens=14)
    is_out = []
    while world.alive:
        world.step()
        is_out.append(not second.block_table and not second.is_finished)
        assert first.block_table or first.is_finished
    assert any(is_out) and world.scheduler.num_preemptions >= 1
    assert len(first.output_ids) == len(second.output_ids) == 14


def test_the_lowest_priority_is_put_out_first_however_early_it_came():
    world = World(num_blocks=6, max_batch=2, max_step_tokens=64)
    low, high = world.add([1, 1], max_tokens=14), world.add([2, 2], max_tokens=14, priority=1)
    world.finish()
    assert world.scheduler.num_preemptions >= 1
    assert low.output_ids and high.output_ids


def test_a_higher_priority_takes_the_place_of_a_lower_one():
    world = World(num_blocks=40, max_batch=2, max_step_tokens=64)
    low = [world.add([token], max_tokens=9) for token in (1, 2)]
    world.step()
    world.add([3], max_tokens=2, priority=5)
    assert [share.sequence.prompt_ids for share in world.step()] == [(3,), (1,)]
    assert not low[1].block_table and low[1].output_ids
    world.step()
    assert [share.sequence for share in world.step()] == low


def test_equal_priorities_never_put_each_other_out_for_a_row():
    world = World(num_blocks=40, max_batch=1, max_step_tokens=64)
    order = [world.add([token], max_tokens=2) for token in range(3)]
    assert [steps[0].sequence for steps in world.finish()] == [one for one in order for _ in range(2)]


def test_what_is_cancelled_leaves_its_blocks_at_once_waiting_or_running():
    world = World(num_blocks=12, max_batch=1, max_step_tokens=8)
    running, waiting = world.add(range(30)), world.add(range(8))
    world.step()
    assert world.blocks.num_free < 12
    world.cancel(waiting)
    world.cancel(running)
    assert world.blocks.num_free == 12 and not world.step()


def test_a_prompt_is_encoded_once_for_all_that_ask_for_it():
    world = World(num_blocks=40, encodes=True, max_batch=4, max_step_tokens=32)
    for _ in range(4):
        world.add(range(10))
    shares = world.step()
    assert [share.encodes for share in shares] == [True, False, False, False]
    world.finish()
    again = world.add(range(10))
    world.step()
    assert world.num_encoded == 1 and again.output_ids
    world.add(range(9))
    world.finish()
    assert world.num_encoded == 2


def test_an_encoder_counts_toward_the_budget_and_a_long_prompt_is_encoded_alone():
    world = World(num_blocks=40, encodes=True, max_batch=4, max_step_tokens=16)
    for length in (9, 6, 8, 30):
        world.add(range(length, 2 * length))
    costs = [[share.cost for share in world.step()] for _ in range(3)]
    assert costs == [[10], [1, 7], [1, 1, 9]]
    assert [share.cost for share in world.step()] == [1, 1, 1, 31]


def test_an_encoders_prompt_that_has_to_wait_anyway_puts_nobody_out():
    world = World(num_blocks=60, encodes=True, max_batch=6, max_step_tokens=16)
    low = [world.add([token], max_tokens=9) for token in (1, 2)]
    world.step()
    for first in (10, 30):
        world.add(range(first, first + 12), priority=1)
    costs = [[share.cost for share in world.step()] for _ in range(2)]
    assert costs == [[13, 1, 1], [1, 13, 1, 1]]
    assert world.scheduler.num_preemptions == 0 and all(one.block_table for one in low)


def test_output_that_is_found_again_is_no_shared_prompt():
    world = World(num_blocks=40, max_batch=1, max_step_tokens=64)
    low = world.add([1, 1], max_tokens=20)
    for _ in range(14):
        world.step()
    world.add([2], max_tokens=1, priority=1)
    world.finish()
    assert world.scheduler.num_preemptions == 1 and len(low.output_ids) == 20
    # Four blocks are found, of which the prompt and the model's own position have three places.
    assert world.scheduler.num_positions_shared == 3
