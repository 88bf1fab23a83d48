import math
import random

import numpy as np
import pytest

from engine.naive_beams import naive_beams
from potstill.engine.beam import BeamParams, BeamSearch, Fork
from potstill.engine.looked_at import Continuations
from potstill.engine.sequence import NeverStop
from potstill.lm.context import Context
from potstill.lm.table import TableModel


def search(logprobs_after, params, stop=None):
    """A finished search, asked token by token as an engine asks it."""
    beams = BeamSearch(params, stop or NeverStop())
    while not beams.is_finished:
        found = []
        for beam in beams.live:
            row = logprobs_after(beam.token_ids)
            order = sorted(range(len(row)), key=lambda token_id: -row[token_id])[: params.num_looked_at]
            values = [row[token_id] for token_id in order]
            found.append(Continuations(order, values, values))
        before = list(beams.live)
        forks = beams.advance(found)
        assert [(*before[fork.parent].token_ids, fork.token_id) for fork in forks] == [
            beam.token_ids for beam in beams.live
        ]
    return beams


def found(beams):
    return [(hypothesis.token_ids, hypothesis.score) for hypothesis in beams.best(beams.params.num_beams)]


def assert_same(got, want):
    assert [ids for ids, _ in got] == [ids for ids, _ in want]
    assert [score for _, score in got] == pytest.approx([score for _, score in want])


def random_table(rng, vocab_size):
    """Rows for suffixes of up to two tokens, some of their tokens impossible."""
    tokens = range(vocab_size)
    suffixes = [(), *((one,) for one in tokens), *((one, two) for one in tokens for two in tokens)]
    rows = {}
    for suffix in suffixes:
        row = [rng.random() ** 3 * (rng.random() > 0.3) for _ in tokens]
        rows[suffix] = row if sum(row) else [1.0] * vocab_size
    return TableModel(rows)


def asker(model, prompt=(0,)):
    return lambda output_ids: model.next_logprobs([Context(prompt, output_ids)])[0].tolist()


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("length_penalty", [1.0, 0.0, 2.0, -1.0])
def test_the_search_equals_one_that_looks_at_every_continuation(early_stopping, length_penalty):
    rng = random.Random(f"{early_stopping} {length_penalty}")
    for _ in range(25):
        ask = asker(random_table(rng, vocab_size=rng.randrange(2, 9)))
        settings = {
            "num_beams": rng.randrange(1, 6),
            "max_tokens": rng.randrange(1, 9),
            "length_penalty": length_penalty,
            "early_stopping": early_stopping,
            "eos_ids": frozenset(rng.sample(range(8), rng.randrange(3))),
        }
        assert_same(found(search(ask, BeamParams(**settings))), naive_beams(ask, **settings))


def test_one_beam_is_greedy():
    ask = asker(random_table(random.Random(5), 7))
    (best,) = search(ask, BeamParams(1, 12)).best(1)
    text = ()
    while len(text) < 12:
        text += (int(np.argmax(ask(text))),)
    assert best.token_ids == text and best.finish_reason == "length"


def test_a_search_wide_enough_finds_the_best_of_all_texts():
    ask = asker(random_table(random.Random(8), 4))

    def every(text, total):
        if len(text) == 4:
            yield total
            return
        for token_id, logprob in enumerate(ask(text)):
            if logprob > -math.inf:
                yield from every((*text, token_id), total + logprob)

    best = search(ask, BeamParams(64, 4)).best(1)[0]
    assert best.score * 4 == pytest.approx(max(every((), 0.0)))
    assert best.logprob == pytest.approx(best.score * 4)


def test_beams_find_what_greedy_misses():
    model = TableModel({(): [0, 0.6, 0.4], (1,): [0.5, 0.5, 0], (2,): [0.01, 0, 0.99]})
    assert search(asker(model), BeamParams(1, 2)).best(1)[0].token_ids[0] == 1
    assert search(asker(model), BeamParams(2, 2)).best(1)[0].token_ids == (2, 2)


def test_a_text_that_ends_keeps_its_eos_and_says_so():
    model = TableModel({(): [0, 1, 0], (1,): [0, 0, 1]})
    (only,) = search(asker(model), BeamParams(3, 9, eos_ids=frozenset({2}))).best(3)
    assert only.token_ids == (1, 2) and only.finish_reason == "stop" and only.score == pytest.approx(0)


def test_fewer_texts_than_beams_where_the_model_allows_no_more():
    model = TableModel({(): [0.5, 0.5], (0, 0): [1, 0], (1,): [0, 1]})
    assert len(search(asker(model), BeamParams(8, 3)).best(8)) == 2


class StopAt:
    """Ends a text at the second of a token; every fork counts for itself."""

    def __init__(self, token_id, seen=0):
        self.token_id, self.seen = token_id, seen

    def push(self, token_id):
        self.seen += token_id == self.token_id
        return self.seen == 2

    def fork(self):
        return StopAt(self.token_id, self.seen)


def test_every_text_has_a_stop_rule_of_its_own():
    ask = asker(random_table(random.Random(11), 5))
    texts = search(ask, BeamParams(4, 12, eos_ids=frozenset({4})), StopAt(3)).best(4)
    for text in texts:
        ends = text.token_ids[-1] == 4 or text.token_ids.count(3) == 2
        assert (text.finish_reason == "stop") == ends and text.token_ids.count(3) <= 2
    assert any(text.token_ids.count(3) == 2 for text in texts)


def test_the_own_logprob_is_summed_beside_the_score_the_search_goes_by():
    beams = BeamSearch(BeamParams(2, 2, length_penalty=0), NeverStop())
    assert beams.advance([Continuations([0, 1], [-1.0, -2.0], [-0.5, -0.1])]) == [Fork(0, 0), Fork(0, 1)]
    assert not beams.advance(
        [
            Continuations([0, 1], [-3.0, -math.inf], [-2.0, -math.inf]),
            Continuations([0, 1], [-1.0, -9.0], [0.0, -8.0]),
        ]
    )
    assert [(one.token_ids, one.score, one.logprob) for one in beams.best(2)] == [
        ((1, 0), -3.0, pytest.approx(-0.1)),
        ((0, 0), -4.0, pytest.approx(-2.5)),
    ]
