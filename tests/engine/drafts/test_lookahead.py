import random

import pytest

from engine.drafts.changing_texts import changing_text, request, same
from potstill.engine.drafts.draft import Draft
from potstill.engine.drafts.lookahead import Lookahead, NgramPool
from potstill.engine.drafts.model_draft import ModelDraft
from potstill.errors import ConfigError


def drawn_after(draft: Draft, rng: random.Random, vocab_size: int) -> list[int]:
    """Some of the guesses, then others."""
    num_right = rng.randrange(len(draft.token_ids) + 1)
    right = list(draft.token_ids[:num_right])
    return right + [rng.randrange(vocab_size) for _ in range(len(draft.token_ids) + 1 - num_right)]


@pytest.mark.parametrize("window", [1, 4, 12])
@pytest.mark.parametrize("ngram", [2, 4])
@pytest.mark.parametrize("pool", [1, 20])
def test_guesses_are_those_of_the_definition(window, ngram, pool):
    """Texts that go on as was drawn, and texts that change on the way."""
    rng = random.Random(window * 100 + ngram * 10 + pool)
    drafter = Lookahead(4, window, ngram, pool)
    for number, ids in enumerate(changing_text(rng, 4, num_changes=30)):
        for _ in range(3):
            asked = request(ids, num_prompt=2, text_id=number % 2, most_tokens=rng.randrange(1, 16))
            slow = ModelDraft(drafter.definition(asked.text_id))
            most = min(asked.most_tokens, window)
            (draft,), (expected,) = drafter.propose([asked]), slow.propose([asked._replace(most_tokens=most)])
            assert same(draft, expected)
            drawn = drawn_after(draft, rng, 4)
            drafter.observe(asked.text_id, draft, drawn)
            ids = ids + drawn[:1]


def test_what_was_drawn_after_wrong_guesses_is_guessed_next():
    drafter = Lookahead(100, window=4, ngram=3)
    (draft,) = drafter.propose([request([1, 2, 3, 4, 5, 6, 7, 8])])
    assert draft.token_ids == (5, 6, 7, 8)
    drafter.observe(1, draft, [5, 60, 61, 62, 63])
    (draft,) = drafter.propose([request([1, 2, 3, 4, 5, 6, 7, 8, 5, 60])])
    assert draft.token_ids[:3] == (61, 62, 63)


def test_an_ngram_met_along_a_trajectory_is_guessed_where_its_beginning_comes_up():
    drafter = Lookahead(100, window=3, ngram=3)
    (draft,) = drafter.propose([request([1, 2, 3])])
    drafter.observe(1, draft, [50, 51, 52, 53])  # 52 was drawn after the guesses 1, 2
    (draft,) = drafter.propose([request([1, 2, 3, 50, 1])])
    assert draft.token_ids[:2] == (2, 52)


def test_a_window_is_run_whole_whatever_the_threshold():
    (draft,) = Lookahead(1000, window=8).propose([request(range(40), least_prob=0.95)])
    assert len(draft.token_ids) == 8


def test_the_pool_is_what_was_met_last_and_never_larger():
    rng, pool, met = random.Random(4), NgramPool(10), []
    for _ in range(500):
        ngram = tuple(rng.randrange(3) for _ in range(3))
        pool.meet(ngram)
        met = [*(other for other in met if other != ngram), ngram][-10:]
        assert pool.ngrams == met
        beginnings = {ngram[:length] for ngram in met for length in (1, 2)}
        assert pool.num_beginnings == len(beginnings)
        for begun in beginnings:
            latest = next(ngram for ngram in reversed(met) if ngram[: len(begun)] == begun)
            assert pool.after(begun) == latest[len(begun)]


def test_a_forgotten_text_is_a_new_one():
    drafter = Lookahead(10, window=2, ngram=2)
    (first,) = drafter.propose([request([1, 2, 3])])
    drafter.observe(1, first, [7, 8, 9])
    assert drafter.propose([request([1, 2, 3, 7])]) != [first]
    drafter.forget(1)
    drafter.forget(1)
    drafter.observe(1, first, [7, 8, 9])
    assert drafter.num_texts == 0
    assert drafter.propose([request([1, 2, 3])]) == [first]


def test_before_any_token_nothing_is_guessed():
    assert Lookahead(10).propose([request([])]) == [Draft()]


def test_settings_that_mean_nothing_are_refused():
    for name in ("window", "ngram", "pool"):
        with pytest.raises(ConfigError, match=f"{name} is 0"):
            Lookahead(10, **{name: 0})
