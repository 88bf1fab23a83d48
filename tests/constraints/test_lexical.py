"""Clauses followed token by token say what regular expressions say of the finished text."""

import itertools
import random

import pytest

from constraints.letters import Letters
from constraints.plain_formula import clause_holds, holds
from potstill.constraints.lexical import LexicalRules
from potstill.errors import UsageError
from potstill.types import Phrase

# Pieces that overlap, so that a text can be cut in many ways; two halves of a character among them.
PIECES = ("a", "b", " ", ".", "ab", " a", "b a", "é", b"\xc3", b"\xa9", "_", "ba.", "")


def phrase(rng, length=3):
    text = "".join(rng.choice("aab é._") for _ in range(rng.randrange(1, length + 1)))
    return text if text.strip() else "a"


def some_clauses(rng):
    return tuple(
        tuple(Phrase(phrase(rng), rng.random() < 0.6) for _ in range(rng.randrange(1, 4)))
        for _ in range(rng.randrange(1, 4))
    )


def possible_rules(rng, vocabulary):
    while True:
        clauses = some_clauses(rng)
        try:
            return clauses, LexicalRules(clauses, vocabulary)
        except UsageError:
            continue


def after(state, token_ids):
    for token_id in token_ids:
        state = state.after(token_id)
    return state


def shown(vocabulary, token_ids):
    """The text as it is shown: a character that was never completed is left out."""
    return (
        vocabulary.text(token_ids).removesuffix("\ufffd")
        if _is_cut(vocabulary, token_ids)
        else (vocabulary.text(token_ids))
    )


def _is_cut(vocabulary, token_ids):
    return b"".join(map(vocabulary.token_bytes, token_ids)).endswith(b"\xc3")


def test_a_state_says_at_every_token_what_the_formula_says_of_the_text():
    rng, vocabulary = random.Random(1), Letters(*PIECES)
    for _ in range(400):
        clauses, rules = possible_rules(rng, vocabulary)
        state, token_ids = rules.start, []
        for _ in range(12):
            text = shown(vocabulary, token_ids)
            truth = [clause_holds(clause, text) for clause in clauses]
            assert [bool(state.holding >> index & 1) for index in range(len(clauses))] == truth, (
                clauses,
                text,
            )
            assert state.can_end == holds(clauses, text) == (not state.unmet()) == (not rules.unmet(text))
            assert len(state.unmet()) == truth.count(False)
            token_ids.append(rng.randrange(len(PIECES)))
            state = state.after(token_ids[-1])


def test_what_is_broken_never_holds_again_and_what_is_not_may_be_met():
    rng, vocabulary = random.Random(2), Letters("a", "b", " ", ".")
    for _ in range(60):
        clauses, rules = possible_rules(rng, vocabulary)
        begun = [rng.randrange(4) for _ in range(rng.randrange(6))]
        state = after(rules.start, begun)
        ends = [tail for length in range(4) for tail in itertools.product(range(4), repeat=length)]
        reached = any(holds(clauses, vocabulary.text([*begun, *tail])) for tail in ends)
        assert not (state.is_broken and reached)


def test_following_the_shortest_way_meets_all_within_the_tokens_said():
    rng, vocabulary = random.Random(3), Letters("a", "b", " ", ".", " a", "ab", "é", "b ", "_")
    num_tried = 0
    for _ in range(300):
        clauses, rules = possible_rules(rng, vocabulary)
        if any(not one.is_wanted for clause in clauses for one in clause):
            continue
        state = after(rules.start, [rng.randrange(9) for _ in range(rng.randrange(8))])
        while not state.can_end:
            needed = state.num_needed
            tokens = [token for token in state.advancing() if state.after(token).num_needed < needed]
            assert tokens, (clauses, needed)
            state = state.after(rng.choice(tokens))
        num_tried += 1
    assert num_tried > 30


def test_a_phrase_is_found_however_tokens_cut_it():
    vocabulary = Letters(*"abcdefghijklmnopqrstuvwxyz ", "cat", " cat", "ca", "at", "t ")
    rules = LexicalRules(((Phrase("cat", False),),), vocabulary)
    for cut in (["cat"], ["c", "at"], ["ca", "t"], ["c", "a", "t"]):
        state = after(rules.start, [vocabulary.pieces.index(piece) for piece in cut])
        assert not state.can_end and not state.is_broken  # it may yet become a longer word
        assert state.after(vocabulary.pieces.index(" ")).is_broken
        assert state.after(vocabulary.pieces.index("e")).can_end


def test_a_way_begins_behind_a_space_or_not_and_never_inside_a_word():
    vocabulary = Letters(" ", "dog", " dog", "x", "d", "og", "(")
    rules = LexicalRules(((Phrase("dog"),),), vocabulary)
    assert set(rules.start.advancing()) == {1, 2}
    assert set(rules.start.after(3).advancing()) == {2}
    assert set(rules.start.after(0).advancing()) == {1}
    assert set(rules.start.after(6).advancing()) == {1, 2}
    # From the middle of another cut: what is left of the word, or the word anew.
    assert set(rules.start.after(4).advancing()) == {5, 2}
    assert rules.start.after(4).num_needed == 1


@pytest.mark.parametrize(
    ("clauses", "message"),
    [
        ((((),),)[0], "A clause without phrases"),
        (((Phrase(" "),),), "nothing but space"),
        (((Phrase("a"),), (Phrase("a", False),)), 'want "a" and avoid "a"'),
        (((Phrase("big a"), Phrase("a b")), (Phrase("a", False),)), 'want "big a" or "a b" and avoid "a"'),
        (((Phrase("Ü"),),), "cannot write"),
        (((Phrase("a" * 9000),),), "9,000 characters"),
        (tuple((Phrase(f"a{i}"),) for i in range(1100)), "1,100 clauses"),
        (tuple((Phrase(f"a{i}"),) for i in range(300)), "want 300 phrases; at most 256"),
    ],
)
def test_what_no_text_can_hold_is_refused(clauses, message):
    with pytest.raises(UsageError, match=message):
        LexicalRules(clauses, Letters(*"abgi ", "b"))


def test_a_phrase_in_a_longer_word_is_no_contradiction():
    LexicalRules(((Phrase("ab"),), (Phrase("a", False),)), Letters(*"ab "))


def test_phrases_that_take_too_many_tokens_are_refused_with_the_numbers():
    rules = LexicalRules(((Phrase("ab"),), (Phrase("b a"), Phrase("bbbbb"))), Letters(*"ab "))
    rules.check_length(6)
    with pytest.raises(UsageError, match="take 6 tokens; max_tokens is 5"):
        rules.check_length(5)


def test_what_is_unmet_is_told_in_sentences():
    vocabulary = Letters(*"abc ")
    clauses = (
        (Phrase("a"), Phrase("b")),
        (Phrase("c", False),),
        (Phrase("b"), Phrase("c", False)),
    )
    assert LexicalRules(clauses, vocabulary).unmet("c") == (
        'The text holds none of "a" and "b".',
        'The text holds "c".',
        'The text holds "c" and holds no "b".',
    )


def test_phrases_that_overlap_as_much_as_they_can_are_made_ready_in_seconds():
    clauses = (tuple(Phrase("." * length) for length in range(1, 128)),)
    state = LexicalRules(clauses, Letters(".", " ")).start
    assert state.after(0).can_end and not state.can_end


def test_a_thousand_banned_words_are_no_burden():
    clauses = tuple((Phrase(f"bad{number:04}", is_wanted=False),) for number in range(1000))
    rules = LexicalRules(clauses, Letters(*"bad0123456789 "))
    assert after(rules.start, rules.vocabulary.encode("bad0999 ")).is_broken
    assert rules.unmet("good bad0007") == ('The text holds "bad0007".',)
