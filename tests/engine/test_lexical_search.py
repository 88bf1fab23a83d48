"""The search for texts that hold phrases, beside every text there is, on a vocabulary of five tokens."""

import math
import random

import pytest

from constraints.letters import Letters
from constraints.plain_formula import holds
from engine.test_beam import asker, random_table
from potstill.constraints.lexical import LexicalRules
from potstill.engine.beam import BeamParams
from potstill.engine.lexical_lookahead import Rollouts, future
from potstill.engine.lexical_params import LexicalParams
from potstill.engine.lexical_search import LexicalSearch
from potstill.engine.looked_at import Continuations, LookedAt
from potstill.engine.sequence import NeverStop
from potstill.errors import ConfigError, UsageError
from potstill.lm.table import TableModel
from potstill.types import Phrase

LETTERS = Letters("a", "b", " ", "ab", "")
EOS = 4
EVERYTHING = LexicalParams(prune_factor=None, sat_tolerance=99)


def some_clauses(rng, vocabulary=LETTERS, max_tokens=5):
    """Random clauses that are not refused."""
    while True:
        clauses = tuple(
            tuple(
                Phrase("".join(rng.choice("aab b") for _ in range(rng.randrange(1, 4))), rng.random() < 0.7)
                for _ in range(rng.randrange(1, 3))
            )
            for _ in range(rng.randrange(1, 4))
        )
        try:
            rules = LexicalRules(clauses, vocabulary)
            rules.check_length(max_tokens)
        except UsageError:
            continue
        return clauses, rules


def search(logprobs_after, params, rules, lexical=EVERYTHING):
    """A finished search, told what an engine tells it."""
    beams = LexicalSearch(params, rules, lexical, NeverStop())
    while not beams.is_finished:
        found = []
        for place, beam in enumerate(beams.live):
            asked = beams.looked_at(place)
            first, *then = (
                continuations(logprobs_after((*beam.token_ids, *asked.guessed_ids[:length])), asked)
                for length in range(len(asked.guessed_ids) + 1)
            )
            found.append(first._replace(then=tuple(then)))
        before = list(beams.live)
        forks = beams.advance(found)
        if forks is not None:
            assert [(*before[fork.parent].token_ids, fork.token_id) for fork in forks] == [
                beam.token_ids for beam in beams.live
            ]
    return beams


def continuations(row, asked):
    by_score = sorted(range(len(row)), key=lambda token_id: -row[token_id])
    ids = [*by_score[: asked.num_likeliest], *asked.token_ids]
    scores = [row[token_id] for token_id in ids]
    return Continuations(ids, scores, scores)


def every_text(logprobs_after, max_tokens, text=(), total=0.0):
    """(tokens, log-probability) of every text that ends, with EOS or where its length runs out."""
    if text and (text[-1] == EOS or len(text) == max_tokens):
        yield text, total
        return
    for token_id, logprob in enumerate(logprobs_after(text)):
        if logprob > -math.inf:
            yield from every_text(logprobs_after, max_tokens, (*text, token_id), total + logprob)


def best_of_all(logprobs_after, clauses, max_tokens):
    texts = every_text(logprobs_after, max_tokens)
    return max((one for one in texts if holds(clauses, LETTERS.text(one[0]))), key=lambda one: one[1])


def test_a_search_of_unlimited_width_finds_the_best_of_all_texts_that_hold_the_clauses():
    rng = random.Random(1)
    num_found = 0
    for _ in range(40):
        ask = asker(random_table(rng, vocab_size=5))
        clauses, rules = some_clauses(rng)
        try:
            text, total = best_of_all(ask, clauses, 5)
        except ValueError:  # the table allows no such text
            continue
        best = search(ask, BeamParams(4000, 5, 0.0, False, frozenset({EOS})), rules).best(1)[0]
        assert best.score == best.logprob == pytest.approx(total, abs=1e-5), clauses
        assert holds(clauses, LETTERS.text(best.token_ids))
        num_found += 1
    assert num_found > 20


def test_a_narrow_search_holds_the_clauses_wherever_no_token_is_impossible():
    """Whatever the width and the pruning: what is still open is written while there is room for it."""
    rng = random.Random(2)
    for _ in range(150):
        ask = asker(whole_table(rng))
        clauses, rules = some_clauses(rng, max_tokens=4)
        if any(not one.is_wanted for clause in clauses for one in clause):
            continue
        lexical = LexicalParams(
            prune_factor=rng.choice([1, 3, None]),
            sat_tolerance=rng.randrange(3),
            lookahead_steps=rng.choice([0, 0, 1, 3]),
        )
        params = BeamParams(rng.randrange(2, 5), rng.randrange(4, 9), rng.choice([0.0, 1.0]), False, {EOS})
        for text in search(ask, params, rules, lexical).best(params.num_beams):
            assert holds(clauses, LETTERS.text(text.token_ids)), clauses


def whole_table(rng):
    """A random distribution after each pair of tokens, none impossible."""
    suffixes = [(), *((one,) for one in range(5)), *((a, b) for a in range(5) for b in range(5))]
    return TableModel({suffix: [rng.random() ** 4 + 1e-4 for _ in range(5)] for suffix in suffixes})


def test_where_no_text_holds_all_the_best_that_meets_less_is_handed_over():
    rules = LexicalRules(((Phrase("b"),),), LETTERS)
    ask = asker(TableModel({(): [0.5, 0, 0.2, 0, 0.3]}))  # never a b
    found = search(ask, BeamParams(3, 4, 1.0, False, frozenset({EOS})), rules).best(2)
    assert found and all(rules.unmet(LETTERS.text(one.token_ids)) for one in found)


def test_a_banned_word_is_not_written_and_a_longer_one_is():
    rules = LexicalRules(((Phrase("a", False),),), LETTERS)
    ask = asker(TableModel({(): [0.9, 0.03, 0.03, 0.01, 0.03]}))
    for text in search(ask, BeamParams(4, 6, 1.0, False, frozenset({EOS})), rules).best(4):
        assert "a" not in LETTERS.text(text.token_ids).split(" ")


def test_settings_out_of_range_are_refused():
    for wrong in (
        {"num_beams": 1},
        {"prune_factor": 0},
        {"sat_tolerance": -1},
        {"alpha": 11},
        {"num_beams": 2.5},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            LexicalParams(**wrong)


def test_lookahead_sees_what_a_greedy_walk_sees_that_is_taken_token_by_token():
    rng = random.Random(4)
    for _ in range(40):
        ask = asker(whole_table(rng))
        num_steps, begun = rng.randrange(1, 6), [(1,), (2,), (0, 2), (3,)]
        rollouts = Rollouts(num_steps, frozenset({EOS}))
        asked = LookedAt(5)
        forks = [(0, 1), (0, 2), (0, 0), (0, 3)]
        rollouts.go_on([continuations(ask(()), asked)], forks)
        is_known = False
        while not is_known:
            found = [rolled_out(ask, text, rollouts.guess(row), asked) for row, text in enumerate(begun)]
            is_known = rollouts.look(found, 99)
        for row, text in enumerate(begun):
            assert rollouts.path(row, found[row])[:num_steps] == walked(ask, text, num_steps)


def rolled_out(ask, text, guess, asked):
    first, *then = (continuations(ask((*text, *guess[:length])), asked) for length in range(len(guess) + 1))
    return first._replace(then=tuple(then))


def walked(ask, text, num_steps):
    path = ()
    while len(path) < num_steps and (not path or path[-1] != EOS):
        row = ask((*text, *path))
        path += (row.index(max(row)),)
    return path


def test_the_future_of_a_text_is_the_likeliest_way_to_an_open_phrase_along_its_greedy_path():
    rules = LexicalRules(((Phrase("b"),), (Phrase("ab a"), Phrase("aa"))), Letters("a", "b", " ", "ab", ""))
    path, probs = (2, 2), [[0.1, 0.2, 0.5, 0.15, 0.05], [0.2, 0.1, 0.4, 0.25, 0.05]]
    first, then = (
        Continuations(range(5), [math.log(one) for one in row], [math.log(one) for one in row])
        for row in probs
    )
    state = rules.start.after(1)  # "b", which a letter may still make another word
    found = first._replace(then=(then,))
    # Behind a space "ab a" is [ab, space, a] and "aa" [a, a]: from the second place on they would be cut.
    at_once = [(0.5, 0.25), (0.5, 0.2)]
    best = max(sum(map(math.log, probs)) / len(probs) for probs in at_once)
    assert future(state, path, found) == pytest.approx(best)
    assert future(rules.start.after(1).after(2).after(0).after(0), path, found) == 0.0


def test_lookahead_goes_where_a_phrase_is_likely():
    """ "a " is likelier than "b " at first, and only behind "b " does an "ab" come easily."""
    model = TableModel(
        {
            (): [0.5, 0.45, 0.02, 0.01, 0.02],
            (0,): [0, 0, 0.98, 0.01, 0.01],
            (1,): [0, 0, 0.98, 0.01, 0.01],
            (0, 2): [0.97, 0, 0.01, 1e-5, 0.01],
            (1, 2): [0.01, 0.01, 0.01, 0.96, 0.01],
        }
    )
    rules = LexicalRules(((Phrase("ab"),),), Letters("a", "b", " ", "ab", ""))
    params = BeamParams(4, 3, 0.0, False, frozenset({EOS}))
    for alpha, best in ((1.0, (1, 2, 3)), (0.0, (3, 4))):
        lexical = LexicalParams(lookahead_steps=3, alpha=alpha)
        assert search(asker(model, ()), params, rules, lexical).best(1)[0].token_ids == best
