"""Clauses as sets of phrases, and what is wrong with them before any text is written.

Sets of phrases and of clauses are whole numbers: element i is bit i.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

from potstill.errors import UsageError
from potstill.types import Clauses, Phrase

# More is no request of a person. Phrases of one sign over and over overlap in as many ways as the square of
# their characters: 0.1 GB and a second or two for so many.
_MOST_CLAUSES = 1024
_MOST_CHARACTERS = 8192
# A step looks at each of them behind every text, and at each pair where tokens run short.
_MOST_WANTED = 256


class Clause(NamedTuple):
    wanted: int
    avoided: int

    def holds(self, occurred: int) -> bool:
        """Whether it holds for a text in which these phrases occur."""
        return bool(occurred & self.wanted or self.avoided & ~occurred)


class Formula:
    """Holds for a text where all of its clauses do. `phrases` are counted from 0."""

    def __init__(self, phrases: tuple[str, ...], clauses: tuple[Clause, ...]) -> None:
        self.phrases, self.clauses = phrases, clauses
        banned = (clause.avoided for clause in clauses if not clause.wanted)
        self.banned = sum({mask for mask in banned if mask.bit_count() == 1})

    @classmethod
    def of(cls, clauses: Clauses) -> Self:
        """UsageError for an empty clause or phrase, and for too many."""
        _check_sizes(clauses)
        number_of: dict[str, int] = {}
        for clause in clauses:
            for phrase in clause:
                number_of.setdefault(phrase.text, len(number_of))
        return cls(tuple(number_of), tuple(_clause(clause, number_of) for clause in clauses))

    def holding(self, occurred: int) -> int:
        """The clauses that hold for a text in which these phrases occur."""
        return sum(1 << index for index, clause in enumerate(self.clauses) if clause.holds(occurred))

    def is_broken(self, occurred: int) -> bool:
        """Whether no text holds all clauses that goes on from one where these have occurred for good."""
        return any(not clause.wanted and not clause.holds(occurred) for clause in self.clauses)

    def check_possible(self, in_text: Callable[[str], int]) -> int:
        """The phrases that bring none along that must not occur; UsageError where a clause needs others.

        `in_text` gives the phrases that occur in a text.
        """
        possible = 0
        for index, phrase in enumerate(self.phrases):
            if not in_text(phrase) & self.banned:
                possible |= 1 << index
        for clause in self.clauses:
            if not clause.avoided and not clause.wanted & possible:
                raise UsageError(self._why_impossible(clause, in_text))
        return possible

    def told(self, occurred: int) -> tuple[str, ...]:
        """What a text in which these phrases occur does not meet, each in a sentence."""
        return tuple(
            f"The text {self._told(clause)}." for clause in self.clauses if not clause.holds(occurred)
        )

    def wanting(self) -> list[int]:
        """For each phrase the clauses that hold once it has come."""
        found = [0] * len(self.phrases)
        for index, clause in enumerate(self.clauses):
            for phrase in bits(clause.wanted):
                found[phrase] |= 1 << index
        return found

    def texts(self, phrases: int) -> list[str]:
        return [text for index, text in enumerate(self.phrases) if phrases >> index & 1]

    def _told(self, clause: Clause) -> str:
        parts = []
        if clause.avoided:
            parts.append(f"holds {_listed(self.texts(clause.avoided), 'and')}")
        if clause.wanted:
            parts.append(f"holds {_none_of(self.texts(clause.wanted))}")
        return " and ".join(parts)

    def _why_impossible(self, clause: Clause, in_text: Callable[[str], int]) -> str:
        wanted = self.texts(clause.wanted)
        found = self.texts(in_text(wanted[0]) & self.banned)
        return (
            f"The clauses want {_listed(wanted, 'or')} and avoid {_listed(found, 'and')}, which stands in "
            f"{_quoted(wanted[0])}: no text holds to both. Drop one."
        )


def _check_sizes(clauses: Clauses) -> None:
    num_characters = sum(len(phrase.text) for clause in clauses for phrase in clause)
    if len(clauses) > _MOST_CLAUSES or num_characters > _MOST_CHARACTERS:
        raise UsageError(
            f"There are {len(clauses):,} clauses whose phrases have {num_characters:,} characters; at most "
            f"{_MOST_CLAUSES:,} clauses of {_MOST_CHARACTERS:,} characters can be searched for."
        )
    num_wanted = sum(phrase.is_wanted for clause in clauses for phrase in clause)
    if num_wanted > _MOST_WANTED:
        raise UsageError(
            f"The clauses want {num_wanted:,} phrases; at most {_MOST_WANTED:,} can be searched for."
        )
    for clause in clauses:
        if not clause:
            raise UsageError("A clause without phrases holds for no text. Give it a phrase, or leave it out.")
        for phrase in clause:
            _check_phrase(phrase)


def _check_phrase(phrase: Phrase) -> None:
    if not phrase.text.strip():
        raise UsageError(f"{phrase.text!r} is no phrase: it holds nothing but space. Give it a word.")
    try:
        phrase.text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"The phrase {phrase.text!r} holds half of a surrogate pair, no character."
        ) from None


def _clause(phrases: tuple[Phrase, ...], number_of: dict[str, int]) -> Clause:
    wanted = {number_of[phrase.text] for phrase in phrases if phrase.is_wanted}
    avoided = {number_of[phrase.text] for phrase in phrases if not phrase.is_wanted}
    return Clause(sum(1 << index for index in wanted), sum(1 << index for index in avoided))


def _none_of(texts: list[str]) -> str:
    return f"no {_quoted(texts[0])}" if len(texts) == 1 else f"none of {_listed(texts, 'and')}"


def _listed(texts: list[str], joint: str) -> str:
    *first, last = map(_quoted, texts)
    return f"{', '.join(first)} {joint} {last}" if first else last


def _quoted(text: str) -> str:
    return f'"{text}"'


def bits(mask: int) -> Iterator[int]:
    """The elements of a set, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
