import random

from potstill.engine.repetition import NgramBan


def banned_by_scan(ids, size):
    return {
        ids[end - 1]
        for end in range(size, len(ids) + 1)
        if ids[end - size : end - 1] == ids[len(ids) - size + 1 :]
    }


def test_banned_tokens_are_those_a_scan_of_the_text_finds():
    rng = random.Random(1)
    for size in (1, 2, 3, 4):
        ban, ids = NgramBan(size), []
        for _ in range(60):
            expected = banned_by_scan(ids, size) if len(ids) >= size - 1 else set()
            assert ban.banned() == expected
            ids.append(rng.randrange(3))
            ban.push(ids[-1])


def test_size_zero_bans_nothing():
    ban = NgramBan(0)
    for token_id in (1, 1, 1):
        ban.push(token_id)
    assert ban.banned() == set()
