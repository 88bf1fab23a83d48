"""Clauses of phrases followed token by token: what holds, what never will, and which tokens help.

What counts is the text alone, by its characters; see `potstill.constraints.phrase_matcher`.
"""

from codecs import utf_8_decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from potstill.constraints.formula import Clause, Formula, bits
from potstill.constraints.phrase_matcher import PhraseMatcher
from potstill.constraints.phrase_tokens import PhraseTokens, PhraseVocabulary, TokenIds
from potstill.errors import UsageError
from potstill.types import Clauses


class _Way(NamedTuple):
    """A phrase and the tokens that would write it from here."""

    phrase: int
    token_ids: TokenIds


class _Shortest(NamedTuple):
    """Of a clause's phrases the one that takes the fewest tokens behind whatever word."""

    num_tokens: int
    phrase: int


def check_clauses(clauses: Clauses) -> None:
    """UsageError for clauses that no text can hold, as far as that is seen without a vocabulary."""
    formula = Formula.of(clauses)
    formula.check_possible(PhraseMatcher(formula.phrases).in_text)


class LexicalRules:
    """What one request asks for, in one vocabulary: shared by all the texts that a search follows."""

    def __init__(self, clauses: Clauses, vocabulary: PhraseVocabulary) -> None:
        """UsageError where no text can hold all clauses, as far as that is seen at once."""
        self.vocabulary = vocabulary
        self.formula = Formula.of(clauses)
        self.matcher = PhraseMatcher(self.formula.phrases)
        self.tokens = PhraseTokens(vocabulary, self.formula.phrases)
        possible = self.formula.check_possible(self.matcher.in_text)
        self._helpful = sum(1 << index for index in bits(possible) if self.tokens.shortest(index))
        self._check_spelling()
        self._shortest = [self._shortest_of(clause) for clause in self.formula.clauses]
        self._wanting = self.formula.wanting()
        self._holding: dict[int, int] = {}
        self._broken: dict[int, bool] = {}
        self._ways: dict[tuple[int, bytes, int], tuple[_Way, ...]] = {}
        self._nums_behind_words: dict[int, int] = {}
        self._nums_needed: dict[tuple[int, bytes, int], int] = {}

    @property
    def start(self) -> "LexicalState":
        return LexicalState(self, 0, b"", 0)

    def check_length(self, max_tokens: int) -> None:
        """UsageError where the phrases alone take more tokens."""
        needed = self.start.num_needed
        if needed > max_tokens:
            raise UsageError(
                f"The phrases that the clauses want take {needed:,} tokens; max_tokens is {max_tokens:,}. "
                f"Raise it, or want less."
            )

    def unmet(self, text: str) -> tuple[str, ...]:
        """What a whole text does not meet, each in a sentence."""
        return self.formula.told(self.matcher.in_text(text))

    def holding(self, occurred: int) -> int:
        """`Formula.holding`, which few sets of phrases are asked for again and again."""
        found = self._holding.get(occurred)
        if found is None:
            found = self._holding[occurred] = self.formula.holding(occurred)
        return found

    def is_broken(self, occurred: int) -> bool:
        """`Formula.is_broken`, likewise."""
        found = self._broken.get(occurred)
        if found is None:
            found = self._broken[occurred] = self.formula.is_broken(occurred)
        return found

    def ways(self, state: "LexicalState") -> tuple[_Way, ...]:
        """How clauses that do not hold yet may come to: on from what is begun, then from here, then behind
        a space."""
        key = (state.place, state.half_character, self._open_phrases(state.open_clauses))
        found = self._ways.get(key)
        if found is None:
            found = self._ways[key] = tuple(self._all_ways(state, key[2]))
        return found

    def num_needed(self, state: "LexicalState") -> int:
        key = (state.place, state.half_character, state.occurred)
        found = self._nums_needed.get(key)
        if found is None:
            found = self._nums_needed[key] = self._num_needed(state)
        return found

    def _all_ways(self, state: "LexicalState", phrases: int) -> Iterator[_Way]:
        place, half = state.place, state.half_character
        for phrase, num_characters in self.matcher.begun(place):
            rest = self.tokens.rest(phrase, num_characters, half)
            if phrases >> phrase & 1 and rest:
                yield _Way(phrase, rest)
        if half:
            return
        for phrase in bits(phrases):
            plain, spaced = self.tokens.plain(phrase), self.tokens.spaced(phrase)
            if plain and self.matcher.may_begin(place, phrase):
                yield _Way(phrase, plain)
            if spaced and self.matcher.last(place) != "space":
                yield _Way(phrase, spaced)

    def _num_needed(self, state: "LexicalState") -> int:
        """Of the orders that begin with a way from here, the shortest; later phrases stand behind spaces."""
        if state.can_end:
            return 0
        plans = [self.num_behind_words(state.open_clauses)]
        for way in self.ways(state):
            # On to a longer word, a phrase that stands at the end now may be lost.
            end = state.after_all(way.token_ids)
            if not end.is_broken:
                plans.append(len(way.token_ids) + self.num_behind_words(end.open_clauses))
        return min(plans[1:] or plans)

    def num_behind_words(self, open_clauses: int) -> int:
        """Tokens that write a phrase of each clause behind whatever word or space: always enough."""
        found = self._nums_behind_words.get(open_clauses)
        if found is None:
            found = self._nums_behind_words[open_clauses] = self._num_behind_words(open_clauses)
        return found

    def _num_behind_words(self, open_clauses: int) -> int:
        total = 0
        for index in bits(open_clauses):
            # A phrase that came for an earlier clause may be one of this.
            if (shortest := self._shortest[index]) and open_clauses >> index & 1:
                total += shortest.num_tokens
                open_clauses &= ~self._wanting[shortest.phrase]
        return total

    def _shortest_of(self, clause: Clause) -> "_Shortest | None":
        found = (
            _Shortest(len(self.tokens.shortest(phrase) or ()), phrase)
            for phrase in bits(clause.wanted & self._helpful)
        )
        return min(found, default=None)

    def _open_phrases(self, open_clauses: int) -> int:
        phrases = 0
        for index in bits(open_clauses):
            phrases |= self.formula.clauses[index].wanted
        return phrases & self._helpful

    def _check_spelling(self) -> None:
        for clause in self.formula.clauses:
            if not clause.avoided and not clause.wanted & self._helpful:
                (first, *_) = self.formula.texts(clause.wanted)
                raise UsageError(
                    f'The model\'s vocabulary cannot write "{first}". Spell it otherwise, as in lower case.'
                )


@dataclass(frozen=True)
class LexicalState:
    """Where a text stands. `occurred`: phrases that have come for good; one at the very end may not have."""

    rules: LexicalRules
    place: int
    half_character: bytes
    occurred: int

    def after(self, token_id: int) -> "LexicalState":
        """Go on by a token."""
        # As the text is shown: bytes that are no UTF-8 become U+FFFD.
        written = self.half_character + self.rules.vocabulary.token_bytes(token_id)
        text, num_bytes = utf_8_decode(written, "replace", False)
        place, occurred = self.rules.matcher.run(self.place, text)
        return LexicalState(self.rules, place, written[num_bytes:], self.occurred | occurred)

    def after_all(self, token_ids: Sequence[int]) -> "LexicalState":
        state = self
        for token_id in token_ids:
            state = state.after(token_id)
        return state

    @cached_property
    def holding(self) -> int:
        """The clauses that hold if nothing more comes."""
        return self.rules.holding(self.occurred | self.rules.matcher.at_end(self.place))

    @property
    def open_clauses(self) -> int:
        return ~self.holding & (1 << len(self.rules.formula.clauses)) - 1

    @property
    def can_end(self) -> bool:
        return not self.open_clauses

    @property
    def is_broken(self) -> bool:
        """Whether a clause holds no more, whatever comes."""
        return self.rules.is_broken(self.occurred)

    @property
    def num_met(self) -> int:
        return self.holding.bit_count()

    @property
    def num_needed(self) -> int:
        """Tokens that are enough to make the open clauses hold, as far as phrases that come can."""
        return self.rules.num_needed(self)

    def fits(self, num_tokens: int) -> bool:
        """Whether so many tokens are enough for that; quicker than to count those that are needed."""
        if self.rules.num_behind_words(self.open_clauses) <= num_tokens:
            return True
        return self.num_needed <= num_tokens

    def advancing(self) -> tuple[int, ...]:
        """The next token of every way to make an open clause hold."""
        return tuple(dict.fromkeys(way.token_ids[0] for way in self.rules.ways(self)))

    def wanted_ways(self) -> list[TokenIds]:
        """The tokens of every such way."""
        return [way.token_ids for way in self.rules.ways(self)]

    def unmet(self) -> tuple[str, ...]:
        """What is not met if nothing more comes, each in a sentence for a person."""
        return self.rules.formula.told(self.occurred | self.rules.matcher.at_end(self.place))
