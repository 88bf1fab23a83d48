"""What a grammar allows, against trying every token, and the laws of `Constraint`."""

import itertools
import json
import random
import re

import numpy as np
import pytest

from constraints.grammars import cases
from constraints.small_vocabularies import NUM_SPARE_ROWS, allowed_ids, byte_tokenizer, letter_tokenizer
from potstill.constraints.compile import GrammarCompiler
from potstill.constraints.trial import Trial
from potstill.errors import UsageError
from potstill.types import Grammar

TRIAL = Trial()
BYTES = byte_tokenizer()
LETTERS = letter_tokenizer("abc+(),", [("a", "b"), ("ab", "c"), ("c", "a"), ("(", ")")], eos=2)
COMPILERS = {
    "bytes": GrammarCompiler(BYTES, BYTES.vocab_size + NUM_SPARE_ROWS, trial=TRIAL),
    "letters": GrammarCompiler(LETTERS, LETTERS.vocab_size, trial=TRIAL),
}
SMALL = ["abc", "a{5}", "(ab|ca)*", "(abc|ab|a)(c|ca)?", "a+b*", "[abc]{2,3}", "(a|ab)(c|bc)", r"(\(\))*a"]
CASES = cases()


def letters(source, kind="regex"):
    return COMPILERS["letters"].compile(Grammar(kind, source))


def text_of(tokenizer, token_ids):
    return b"".join(map(tokenizer.token_bytes, token_ids)).decode()


def write(constraint, rng, most=400):
    """Tokens drawn at random of those allowed; an end is taken every other time."""
    written = []
    while not constraint.must_end and len(written) < most:
        ids = allowed_ids(constraint)
        ends = [token_id for token_id in ids if token_id in BYTES.eos_ids]
        if ends and rng.random() < 0.5:
            constraint.take(ends[0])
            return written
        token_id = rng.choice([token_id for token_id in ids if token_id not in ends])
        constraint.take(token_id)
        written.append(token_id)
    return written


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.grammar.kind} {case.grammar.source:.40}")
def test_whatever_is_drawn_is_what_the_grammar_says(case):
    start = COMPILERS["bytes"].compile(case.grammar)
    rng = random.Random(case.grammar.source)
    num_ended = 0
    for _ in range(6):
        constraint = start.fork()
        text = text_of(BYTES, write(constraint, rng))
        if constraint.must_end or not constraint.unmet():
            assert case.accepts(text), text
            num_ended += 1
    assert num_ended


def test_there_are_sixty_grammars():
    assert len(CASES) > 60


@pytest.mark.parametrize("source", SMALL)
def test_a_mask_allows_what_may_be_taken_and_nothing_else(source):
    """Unless a token is forced: then the text that it belongs to is the only one."""
    beginnings = beginnings_of_matches(source)
    reachable = [(letters(source), ())]
    while reachable:
        constraint, taken = reachable.pop()
        allowed = allowed_ids(constraint)
        assert allowed
        tried = [token for token in range(LETTERS.vocab_size) if constraint.num_valid([token])]
        assert tried == allowed
        written = text_of(LETTERS, taken)
        for token_id in range(LETTERS.vocab_size - 2):
            could = written + text_of(LETTERS, [token_id]) in beginnings
            assert could >= (token_id in allowed)
            if not constraint.forced():
                assert could == (token_id in allowed), (written, token_id)
        for token_id in allowed:
            if token_id not in LETTERS.eos_ids and len(written) < 3:
                other = constraint.fork()
                other.take(token_id)
                reachable.append((other, (*taken, token_id)))


def beginnings_of_matches(source):
    """Of all texts of at most eight letters that the expression matches."""
    pattern, used = re.compile(source), sorted(set(source) & set("abc()"))
    texts = ("".join(text) for length in range(9) for text in itertools.product(used, repeat=length))
    return {text[:end] for text in texts if pattern.fullmatch(text) for end in range(len(text) + 1)}


def test_an_end_is_allowed_exactly_where_the_text_is_whole():
    constraint = letters("ab|abca")
    assert constraint.unmet() and not any(constraint.num_valid([end]) for end in LETTERS.eos_ids)
    for token_id in LETTERS.encode("ab"):
        constraint.take(token_id)
    assert set(LETTERS.eos_ids) < set(allowed_ids(constraint))
    assert not constraint.unmet() and not constraint.must_end
    for token_id in LETTERS.encode("ca"):
        constraint.take(token_id)
    assert constraint.must_end and allowed_ids(constraint) == list(LETTERS.eos_ids)
    constraint.take(LETTERS.eos_ids[1])
    assert constraint.must_end and not constraint.unmet() and constraint.forced() == ()
    assert constraint.num_valid([LETTERS.eos_ids[0]]) == 0


def test_what_is_not_met_is_said_by_the_kind_of_grammar():
    assert letters("ab+").unmet() == (
        "The text ends before the regular expression allows it to; allow more tokens.",
    )


@pytest.mark.parametrize(
    "case", CASES[::5], ids=lambda case: f"{case.grammar.kind} {case.grammar.source:.40}"
)
def test_going_back_and_parting_leave_what_going_straight_leaves(case):
    start = COMPILERS["bytes"].compile(case.grammar)
    rng = random.Random(3)
    walked, taken = start.fork(), []
    for _ in range(60):
        kind = rng.random()
        if kind < 0.3 and taken:
            count = rng.randrange(1, len(taken) + 1)
            walked.undo(count)
            del taken[-count:]
        elif kind < 0.5:
            kept, walked = walked, walked.fork()
            if not kept.must_end:
                kept.take(rng.choice(allowed_ids(kept)))
        elif not (taken and taken[-1] in BYTES.eos_ids):
            taken.append(rng.choice(allowed_ids(walked)))
            walked.take(taken[-1])
        straight = start.fork()
        for token_id in taken:
            straight.take(token_id)
        assert walked.must_end == straight.must_end
        assert walked.forced() == straight.forced() and walked.unmet() == straight.unmet()
        np.testing.assert_array_equal(walked.allowed(), straight.allowed())


@pytest.mark.parametrize(
    "case", CASES[::4], ids=lambda case: f"{case.grammar.kind} {case.grammar.source:.40}"
)
def test_forced_tokens_come_in_a_row_whatever_is_drawn(case):
    constraint = COMPILERS["bytes"].compile(case.grammar)
    rng = random.Random(5)
    for _ in range(80):
        if constraint.must_end:
            break
        forced = constraint.forced()
        if forced:
            assert allowed_ids(constraint) == [forced[0]]
            assert constraint.num_valid(forced) == len(forced)
            constraint.take(forced[0])
            assert len(forced) == 1 or constraint.forced() == forced[1:]
        else:
            constraint.take(rng.choice(allowed_ids(constraint)))


def test_a_forced_text_is_cut_as_the_tokenizer_cuts_it():
    text = '{"name": "Ann", "age": 31}'
    constraint = COMPILERS["bytes"].compile(Grammar("json_schema", json.dumps({"const": json.loads(text)})))
    forced = constraint.forced()
    assert forced and list(forced) == BYTES.encode(text)[: len(forced)]


def test_num_valid_counts_the_tokens_that_may_come_in_a_row():
    constraint = letters("ab{2}c")
    a, b, c = (LETTERS.encode(letter)[0] for letter in "abc")
    start, taken = constraint.fork(), []
    while not start.must_end:
        taken.append(rng_choice(allowed_ids(start)))
        start.take(taken[-1])
    assert constraint.num_valid(taken) == len(taken)
    assert constraint.num_valid([*taken, a]) == len(taken)
    assert constraint.num_valid([*taken, LETTERS.eos_ids[0]]) == len(taken) + 1
    assert constraint.num_valid([b, c]) == 0 and constraint.num_valid([10**9]) == 0


def rng_choice(ids):
    return random.Random(0).choice(ids)


def test_control_tokens_and_rows_without_a_token_are_never_allowed():
    constraint = COMPILERS["bytes"].compile(Grammar("regex", r"(?s:.)*"))
    assert constraint.vocab_size == BYTES.vocab_size + NUM_SPARE_ROWS
    allowed = set(allowed_ids(constraint))
    assert BYTES.eos_ids[0] in allowed and 0 not in allowed
    assert max(allowed) < BYTES.vocab_size
    assert constraint.num_valid([0]) == 0 and constraint.num_valid([BYTES.vocab_size]) == 0


def test_a_vocabulary_without_an_end_still_says_what_has_to_end():
    tokenizer = letter_tokenizer("ab", eos=0)
    constraint = GrammarCompiler(tokenizer, tokenizer.vocab_size, trial=TRIAL).compile(
        Grammar("regex", "ab?")
    )
    constraint.take(0)
    assert allowed_ids(constraint) == [1] and not constraint.must_end
    constraint.take(1)
    assert constraint.must_end and allowed_ids(constraint)


def test_a_text_that_the_vocabulary_cannot_spell_is_refused():
    with pytest.raises(UsageError, match="no token"):
        letters("xyz")


def test_a_text_that_meets_a_limit_spoils_no_other_of_the_same_grammar():
    schema = {"type": "number", "minimum": -5, "maximum": 10**12, "multipleOf": 12345}
    grammar = Grammar("json_schema", json.dumps(schema))
    compiler = GrammarCompiler(BYTES, BYTES.vocab_size, trial=TRIAL)
    texts = [compiler.compile(grammar) for _ in range(3)]
    first, failed, num_tried = allowed_ids(texts[0]), False, 0
    for token_id in [token_id for token_id in first if token_id not in BYTES.eos_ids]:
        text = compiler.compile(grammar)
        text.take(token_id)
        for tried in range(BYTES.vocab_size):
            num_tried += text.num_valid([tried])
        failed = failed or bool(text._text._source._is_spoilt)
    assert failed and num_tried, "choose a costlier grammar"
    for text in [*texts, compiler.compile(grammar)]:
        assert allowed_ids(text) == first
        text.take(first[0])
        assert allowed_ids(text)


@pytest.mark.parametrize(
    ("text", "is_met"),
    [("", False), ("a", False), ("ab", True), ("abca", True), ("abc", False), ("aéb", False), ("b", False)],
)
def test_a_text_of_which_the_end_was_cut_off_is_held_to_the_grammar(text, is_met):
    constraint = letters("ab|abca")
    constraint.take(allowed_ids(constraint)[0])
    assert bool(constraint.unmet_by(text)) != is_met


@pytest.fixture
def deep_and_costly(monkeypatch):
    """A text of an ambiguous grammar with tight limits: a few tokens may be taken, and then no more."""
    from potstill.constraints import compile as compiling
    from potstill.constraints.limits import parser_limits

    limits = parser_limits()
    tight = type(limits)(
        max_items_in_row=limits.max_items_in_row,
        initial_lexer_fuel=limits.initial_lexer_fuel,
        step_lexer_fuel=limits.step_lexer_fuel,
        step_max_items=40,
        max_lexer_states=limits.max_lexer_states,
        max_grammar_size=limits.max_grammar_size,
        precompute_large_lexemes=False,
        verbose_errors=False,
    )
    monkeypatch.setattr(compiling, "parser_limits", lambda: tight)
    ambiguous = 'start: "c" deep\ndeep: deep deep deep | "a" | "a" "b" | "b"'
    constraint = GrammarCompiler(LETTERS, LETTERS.vocab_size, trial=TRIAL).compile(Grammar("lark", ambiguous))
    constraint.take(LETTERS.encode("c")[0])
    return constraint


def test_a_grammar_that_becomes_too_costly_is_told_and_can_be_left_again(deep_and_costly):
    constraint, taken = deep_and_costly, []
    before = constraint.allowed().copy()
    with pytest.raises(UsageError, match="After .* tokens the grammar cannot be followed"):
        for _ in range(200):
            taken.append(LETTERS.encode("a")[0])
            constraint.take(taken[-1])
            constraint.allowed()
    assert constraint.num_valid([0]) == 0 and constraint.forced() == ()
    constraint.undo(len(taken))
    np.testing.assert_array_equal(constraint.allowed(), before)


def test_guesses_that_meet_limits_again_and_again_are_followed_no_more(deep_and_costly, monkeypatch):
    constraint, made = deep_and_costly, []
    before, make = constraint.allowed().copy(), constraint._source._make
    monkeypatch.setattr(constraint._source, "_make", lambda: made.append(0) or make())
    a = LETTERS.encode("a")[0]
    valid = [constraint.num_valid([a] * 200) for _ in range(10)]
    assert valid[0] > 0 and valid[1:] == [0] * 9 and 0 < len(made) < 10
    np.testing.assert_array_equal(constraint.allowed(), before)
    constraint.take(a)
    assert constraint.allowed().any()
