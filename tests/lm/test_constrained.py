"""What a constraint does to a model's probabilities."""

import itertools
import json
import math

import numpy as np
import pytest

from constraints.small_vocabularies import letter_tokenizer
from engine.conftest import WholeContextModel
from potstill.constraints.compile import GrammarCompiler
from potstill.errors import UsageError
from potstill.lm.constrained import ConstrainedModel
from potstill.lm.context import Context
from potstill.lm.table import TableModel
from potstill.types import Grammar

LETTERS = letter_tokenizer("abc", [("a", "b"), ("ab", "c")])
END = LETTERS.eos_ids[0]


@pytest.fixture(scope="module")
def compiler():
    return GrammarCompiler(LETTERS, LETTERS.vocab_size)


def held_to(compiler, kind, source, model=None):
    model = model or WholeContextModel(LETTERS.vocab_size)
    return ConstrainedModel(model, lambda: compiler.compile(Grammar(kind, source)))


def test_what_is_allowed_shares_the_probability_as_the_model_shares_it(compiler):
    model = TableModel({(): [1, 2, 3, 4, 5, 6]})
    (row,) = held_to(compiler, "regex", "[ab]c*", model).next_logprobs([Context((2, 1))])
    assert row.dtype == np.float32
    np.testing.assert_allclose(np.exp(row), [1 / 3, 2 / 3, 0, 0, 0, 0], atol=1e-6)


def test_the_output_decides_and_the_prompt_does_not(compiler):
    lm = held_to(compiler, "regex", "[ab]c+")
    first, second = lm.next_logprobs([Context((1, 1)), Context((1,), (1,))])
    assert set(np.flatnonzero(np.isfinite(first))) == {0, 1}
    assert set(np.flatnonzero(np.isfinite(second))) == {2}


def test_each_row_is_a_distribution(compiler):
    lm = held_to(compiler, "regex", "(a|b|ab|c)*")
    contexts = [Context((1,), output) for output in ((), (0,), (3, 3), (0, 1, 2))]
    np.testing.assert_allclose(np.exp(lm.next_logprobs(contexts)).sum(-1), 1, rtol=1e-5)


def test_where_the_model_gives_what_is_allowed_no_chance_all_of_it_gets_the_same(compiler):
    model = TableModel({(): [0, 0, 1, 0, 0, 0]})
    (row,) = held_to(compiler, "regex", "[ab]", model).next_logprobs([Context((0,))])
    np.testing.assert_allclose(np.exp(row), [0.5, 0.5, 0, 0, 0, 0], atol=1e-6)


def test_an_output_that_breaks_the_grammar_is_refused(compiler):
    with pytest.raises(UsageError, match="Token 1 of the output"):
        held_to(compiler, "regex", "ab*c", TableModel({(): [1] * 6})).next_logprobs([Context((), (0, 0))])


def test_a_choice_is_as_likely_as_all_ways_to_write_it(compiler):
    """By brute force: every row of tokens, each with its share of what could stand there."""
    choices = ["ab", "abc", "ca", "b"]
    lm = held_to(compiler, "choices", json.dumps(choices))
    probs = dict.fromkeys(choices, 0.0)
    for length in range(1, 4):
        for tokens in itertools.product(range(END), repeat=length):
            text = b"".join(map(LETTERS.token_bytes, tokens)).decode()
            if text in probs:
                probs[text] += math.exp(logprob_of(lm, tokens))
    assert sum(probs.values()) == pytest.approx(1, abs=1e-5)

    drawn = dict.fromkeys(choices, 0)
    rng, count, cache = np.random.default_rng(0), 1500, {}
    for _ in range(count):
        drawn[draw(lm, rng, cache)] += 1
    chi2 = sum((drawn[text] - count * p) ** 2 / (count * p) for text, p in probs.items())
    # Three degrees of freedom: one in a thousand is larger.
    assert chi2 < 16.3


def logprob_of(lm, tokens):
    """Of these tokens and the end, if it has to be written."""
    total = 0.0
    for place, token in enumerate(tokens):
        total += lm.next_logprobs([Context((1,), tokens[:place])])[0, token] if total > -math.inf else 0
        if total == -math.inf:
            return total
    return total + float(lm.next_logprobs([Context((1,), tokens)])[0, END])


def draw(lm, rng, cache):
    tokens = ()
    while END not in tokens:
        if tokens not in cache:
            cache[tokens] = np.exp(lm.next_logprobs([Context((1,), tokens)])[0].astype(np.float64))
        probs = cache[tokens]
        tokens += (int(rng.choice(len(probs), p=probs / probs.sum())),)
    return b"".join(map(LETTERS.token_bytes, tokens[:-1])).decode()
