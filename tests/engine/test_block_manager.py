import random

import pytest

from potstill.engine.block_manager import BlockManager, Chain


def tokens_of(ids, size):
    return lambda block: tuple(ids[block * size : (block + 1) * size])


def fill(blocks, ids, chain=None):
    """A text in the cache: its blocks, and how many of them were known."""
    chain = chain or Chain()
    known = blocks.known(chain, tokens_of(ids, blocks.block_size), (len(ids) - 1) // blocks.block_size)
    blocks.share(known)
    table = known + blocks.take(blocks.num_blocks_for(len(ids)) - len(known))
    blocks.make_findable(chain, table, tokens_of(ids, blocks.block_size), len(ids) // blocks.block_size)
    return table, len(known)


def num_known(blocks, ids):
    return len(blocks.known(Chain(), tokens_of(ids, blocks.block_size), (len(ids) - 1) // blocks.block_size))


def test_texts_share_full_blocks_as_far_as_they_agree():
    blocks = BlockManager(num_blocks=10, block_size=2)
    first, _ = fill(blocks, [1, 2, 3, 4, 5])
    second, known = fill(blocks, [1, 2, 3, 9, 5])
    assert known == 1 and second[0] == first[0] and blocks.num_owners(first[0]) == 2
    assert not set(second[1:]) & set(first) and blocks.num_free == 5


def test_equal_blocks_after_different_beginnings_are_not_shared():
    blocks = BlockManager(num_blocks=10, block_size=2)
    fill(blocks, [1, 2, 3, 4, 0])
    assert num_known(blocks, [9, 9, 3, 4, 0]) == 0


def test_only_what_is_filled_can_be_found():
    blocks = BlockManager(num_blocks=10, block_size=2)
    ids, chain = [1, 2, 3, 4, 5, 6, 7], Chain()
    table = blocks.take(4)
    blocks.make_findable(chain, table, tokens_of(ids, 2), 1)
    assert num_known(blocks, ids) == 1
    blocks.make_findable(chain, table, tokens_of(ids, 2), 3)
    assert num_known(blocks, ids) == 3


def test_two_that_fill_equal_blocks_side_by_side_go_on_as_one_chain():
    blocks = BlockManager(num_blocks=10, block_size=2)
    ids, chains, tables = [1, 2, 3, 4, 5], [Chain(), Chain()], [blocks.take(3), blocks.take(3)]
    for num_full in (1, 2):
        for chain, table in zip(chains, tables, strict=True):
            blocks.make_findable(chain, table, tokens_of(ids, 2), num_full)
    assert blocks.known(Chain(), tokens_of(ids, 2), 2) == tables[0][:2] and chains[0] == chains[1]


def test_released_blocks_are_found_again_until_their_memory_is_needed():
    blocks = BlockManager(num_blocks=4, block_size=2)
    table, _ = fill(blocks, [1, 2, 3, 4, 5])
    blocks.release(table)
    assert blocks.num_free == 4 and num_known(blocks, [1, 2, 3, 4, 5]) == 2
    # Three blocks are needed: those without a name go first, then the end of the chain.
    blocks.take(3)
    assert num_known(blocks, [1, 2, 3, 4, 5]) == 1


def test_forgotten_texts_are_not_shared():
    blocks = BlockManager(num_blocks=6, block_size=2)
    table, _ = fill(blocks, [1, 2, 3])
    blocks.take_for_encoder((7, 8, 9))
    blocks.forget()
    assert num_known(blocks, [1, 2, 3]) == 0 and blocks.encoded((7, 8, 9)) is None
    blocks.release(table)
    assert blocks.num_free == 4


def test_an_encoded_prompt_is_found_whole_or_not_at_all():
    blocks = BlockManager(num_blocks=4, block_size=2)
    blocks.take_for_encoder((1, 2, 3))
    table = blocks.encoder_table((1, 2, 3))
    assert len(table) == 2 and blocks.encoded((1, 2)) is None
    blocks.release(table)
    assert blocks.encoded((1, 2, 3)) and blocks.num_free == 4
    # One of its blocks is needed, so the other is of no use to anyone.
    blocks.take(3)
    assert blocks.encoded((1, 2, 3)) is None and blocks.num_free == 1
    blocks.take(1)


def test_texts_after_different_encoded_prompts_share_nothing():
    blocks = BlockManager(num_blocks=9, block_size=2)
    for prompt in ((1, 2), (1, 3)):
        blocks.take_for_encoder(prompt)
    roots = [blocks.encoded(prompt).root for prompt in ((1, 2), (1, 3))]
    fill(blocks, [5, 6, 7], Chain(roots[0]))
    assert blocks.known(Chain(roots[0]), tokens_of([5, 6, 7], 2), 1)
    assert not blocks.known(Chain(roots[1]), tokens_of([5, 6, 7], 2), 1)
    assert not blocks.known(Chain(), tokens_of([5, 6, 7], 2), 1)


def test_releasing_twice_is_our_mistake():
    blocks = BlockManager(num_blocks=4, block_size=2)
    table, _ = fill(blocks, [1, 2, 3])
    blocks.release(table)
    with pytest.raises(AssertionError):
        blocks.release(table)


def test_random_use_never_gives_a_block_away_twice():
    rng = random.Random(5)
    blocks = BlockManager(num_blocks=24, block_size=2)
    held: list[list[int]] = []
    content: dict[int, list[int]] = {}
    for _ in range(3000):
        if held and (rng.random() < 0.5 or blocks.num_free < 6):
            blocks.release(held.pop(rng.randrange(len(held))))
            continue
        ids = [rng.randrange(2) for _ in range(rng.randrange(1, 12))]
        table, num_shared = fill(blocks, ids)
        for index, block in enumerate(table):
            if index < num_shared:
                assert content[block] == ids[: 2 * index + 2]
            else:
                assert not any(block in other for other in held)
                content[block] = ids[: 2 * index + 2]
        held.append(table)
        owners = [sum(table.count(block) for table in held) for block in range(24)]
        assert owners == [blocks.num_owners(block) for block in range(24)]
        assert blocks.num_free == owners.count(0)
