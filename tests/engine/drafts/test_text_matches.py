import random
from collections import Counter

import pytest

from engine.drafts.changing_texts import changing_text
from potstill.engine.drafts.text_matches import TextMatches


def scanned(ids, longest):
    for length in range(min(longest, len(ids) - 1), 0, -1):
        ends = range(length, len(ids))
        counts = Counter(ids[end] for end in ends if ids[end - length : end] == ids[-length:])
        if counts:
            return length, dict(counts)
    return 0, {}


def change(matches, before, now):
    num_same = next(
        (at for at, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]), None
    )
    num_same = min(len(before), len(now)) if num_same is None else num_same
    for _ in before[num_same:]:
        matches.pop()
    for token_id in now[num_same:]:
        matches.push(token_id)


@pytest.mark.parametrize("longest", [1, 2, 5, 32])
@pytest.mark.parametrize("vocab_size", [1, 2, 3, 20])
def test_matches_are_those_a_scan_finds_as_a_text_grows_and_shrinks(longest, vocab_size):
    rng = random.Random(longest * 100 + vocab_size)
    for _ in range(12):
        matches, ids = TextMatches(longest), []
        for now in changing_text(rng, vocab_size, num_changes=25):
            change(matches, ids, now)
            ids = now
            assert matches.match() == scanned(ids, longest)
            assert matches.num_tokens == len(ids)


def test_what_is_taken_back_leaves_nothing_behind():
    """A text that went another way in between is matched as one that never did."""
    rng = random.Random(5)
    ids = [rng.randrange(3) for _ in range(60)]
    plain, wavering = TextMatches(8), TextMatches(8)
    for token_id in ids:
        wrong = [rng.randrange(3) for _ in range(rng.randrange(6))]
        change(wavering, [], wrong)
        change(wavering, wrong, [])
        plain.push(token_id)
        wavering.push(token_id)
        assert wavering.match() == plain.match()
        assert wavering.num_states == plain.num_states


def test_a_text_of_one_token_a_thousand_times_costs_no_more_than_any():
    """Without a longest match every token would count up all suffixes before it."""
    matches = TextMatches(16)
    for _ in range(1000):
        matches.push(7)
    assert matches.match() == (16, {7: 984})
    assert matches.num_states == 1001


@pytest.mark.parametrize("vocab_size", [2, 1000])
def test_there_are_at_most_two_states_a_token(vocab_size):
    rng, matches = random.Random(1), TextMatches()
    for num_tokens in range(1, 500):
        matches.push(rng.randrange(vocab_size))
        assert matches.num_states <= 2 * num_tokens + 1
