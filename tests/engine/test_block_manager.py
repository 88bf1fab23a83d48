import random

import pytest

from potstill.engine.block_manager import BlockManager


def test_a_prompt_takes_the_blocks_it_can_need_at_most():
    blocks = BlockManager(num_blocks=10, block_size=4)
    allocation = blocks.allocate(range(5), most_positions=13)
    assert len(set(allocation.block_table)) == 4 and allocation.num_cached == 0
    assert blocks.num_free == 6


def test_prompts_share_full_blocks_as_far_as_they_agree():
    blocks = BlockManager(num_blocks=10, block_size=2)
    first = blocks.allocate([1, 2, 3, 4, 5], most_positions=6)
    second = blocks.allocate([1, 2, 3, 9, 5], most_positions=6)
    assert second.num_cached == 2
    assert second.block_table[0] == first.block_table[0]
    assert not set(second.block_table[1:]) & set(first.block_table)


def test_equal_blocks_after_different_beginnings_are_not_shared():
    blocks = BlockManager(num_blocks=10, block_size=2)
    blocks.allocate([1, 2, 3, 4, 0], most_positions=5)
    assert blocks.num_shared([9, 9, 3, 4, 0]) == 0


def test_the_last_position_of_a_prompt_is_always_run():
    blocks = BlockManager(num_blocks=10, block_size=2)
    blocks.allocate([1, 2, 3, 4], most_positions=4)
    assert blocks.num_shared([1, 2, 3, 4]) == 2
    assert blocks.num_shared([1, 2, 3, 4, 5]) == 4


def test_released_blocks_are_found_again_until_their_memory_is_needed():
    blocks = BlockManager(num_blocks=4, block_size=2)
    table = blocks.allocate([1, 2, 3, 4, 5], most_positions=5).block_table
    blocks.release(table)
    assert blocks.num_free == 4 and blocks.num_shared([1, 2, 3, 4, 5]) == 4
    # Three blocks are needed: the never shared ones go first, then the end of the chain.
    blocks.allocate([7, 7, 7, 7, 7], most_positions=6)
    assert blocks.num_shared([1, 2, 3, 4, 5]) == 2


def test_nothing_is_taken_when_too_few_blocks_are_free():
    blocks = BlockManager(num_blocks=4, block_size=2)
    blocks.release(blocks.allocate([1, 2, 3], most_positions=4).block_table)
    # One of the four free blocks is the shared one, so only three are left for the other four.
    assert blocks.allocate([1, 2, 3], most_positions=10) is None
    assert blocks.num_free == 4


def test_forgotten_prompts_are_not_shared():
    blocks = BlockManager(num_blocks=4, block_size=2)
    table = blocks.allocate([1, 2, 3], most_positions=3).block_table
    blocks.forget()
    assert blocks.num_shared([1, 2, 3]) == 0
    blocks.release(table)
    assert blocks.num_free == 4


def test_releasing_twice_is_our_mistake():
    blocks = BlockManager(num_blocks=4, block_size=2)
    table = blocks.allocate([1, 2, 3], most_positions=3).block_table
    blocks.release(table)
    with pytest.raises(AssertionError):
        blocks.release(table)


def test_random_use_never_gives_a_block_away_twice():
    rng = random.Random(5)
    blocks = BlockManager(num_blocks=24, block_size=2)
    held: list[tuple[list[int], list[int]]] = []
    content: dict[int, list[int]] = {}
    for _ in range(3000):
        if held and rng.random() < 0.5:
            blocks.release(held.pop(rng.randrange(len(held)))[1])
            continue
        ids = [rng.randrange(2) for _ in range(rng.randrange(1, 12))]
        if (allocation := blocks.allocate(ids, len(ids) + rng.randrange(6))) is None:
            continue
        num_shared = allocation.num_cached // 2
        for index, block in enumerate(allocation.block_table):
            if index < num_shared:
                assert content[block] == ids[: 2 * index + 2]
            else:
                assert not any(block in table for _, table in held)
                content[block] = ids[: 2 * index + 2]
        held.append((ids, allocation.block_table))
        owned = {block for _, table in held for block in table}
        assert blocks.num_free == 24 - len(owned)
