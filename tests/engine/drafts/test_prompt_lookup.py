import random

import pytest

from engine.drafts.changing_texts import check_equals_definition, request
from potstill.engine.drafts.prompt_lookup import NgramFollowers, PromptLookup
from potstill.errors import ConfigError


@pytest.mark.parametrize("longest", [1, 2, 3, 5])
@pytest.mark.parametrize("vocab_size", [2, 4, 30])
def test_guesses_are_those_of_the_definition(longest, vocab_size):
    rng = random.Random(longest * 100 + vocab_size)
    for _ in range(4):
        drafter = PromptLookup(vocab_size, longest)
        check_equals_definition(drafter, drafter.definition, rng, vocab_size)


def test_what_followed_the_latest_place_of_the_most_tokens_is_copied():
    drafter = PromptLookup(100)
    (draft,) = drafter.propose(
        [request([1, 2, 3, 50, 60, 9, 1, 2, 3, 51, 61, 3, 70, 1, 2, 3], most_tokens=3)]
    )
    assert draft.token_ids == (51, 61, 3)


def test_a_text_that_repeats_itself_is_guessed_past_its_end():
    (draft,) = PromptLookup(100).propose([request([5, 6, 7, 5, 6, 7, 5], most_tokens=10)])
    assert draft.token_ids == (6, 7, 5, 6, 7, 5, 6, 7, 5, 6)


def test_of_tokens_that_are_new_nothing_is_guessed():
    (empty, new) = PromptLookup(100).propose([request([]), request([1, 2, 3], text_id=2)])
    assert empty.token_ids == new.token_ids == ()


def test_longer_matches_are_believed_more():
    drafter = PromptLookup(1000)
    (one,) = drafter.propose([request([1, 2, 9, 1], most_tokens=1)])
    (many,) = drafter.propose([request([*range(20), 99, *range(20)], most_tokens=1, text_id=2)])
    assert one.probs[0] < many.probs[0] < 1


def test_taking_a_token_back_leaves_nothing_behind():
    rng, followers = random.Random(2), NgramFollowers(4, 3)
    ids = [rng.randrange(4) for _ in range(200)]
    for token_id in ids:
        followers.push(token_id)
    for _ in ids[50:]:
        followers.pop()
    fresh = NgramFollowers(4, 3)
    for token_id in ids[:50]:
        fresh.push(token_id)
    assert followers.follower() == fresh.follower() and followers.num_ngrams == fresh.num_ngrams
    for _ in ids[:50]:
        followers.pop()
    assert followers.follower() is None and followers.num_ngrams == 0


def test_a_forgotten_text_is_a_new_one():
    drafter = PromptLookup(10)
    drafter.propose([request([1, 2, 1])])
    drafter.forget(1)
    drafter.forget(1)
    assert drafter.num_texts == 0
    assert drafter.propose([request([3])])[0].token_ids == ()


def test_to_look_for_no_token_is_refused():
    with pytest.raises(ConfigError, match="longest is 0"):
        PromptLookup(10, 0)
