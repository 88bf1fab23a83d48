"""Finds many phrases in a text that arrives character by character, on whole words.

A phrase stands where its characters stand and no letter or digit touches its ends; an end that is no letter
or digit itself may be touched by anything. Case matters. An automaton in the manner of Aho and Corasick
(1975), made as far as texts need it: its places number at most a few for each character of the phrases.

Sets of phrases are whole numbers: phrase i is bit i.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from potstill.constraints.word_characters import is_word_character

Last = Literal["start", "space", "word", "other"]


class Begun(NamedTuple):
    """The text so far ends with the first `num_characters` of a phrase."""

    phrase: int
    num_characters: int


class _Place(NamedTuple):
    """`begun` holds whole phrases too, while a letter may still come and make them parts of longer words."""

    begun: frozenset[Begun]
    last: Last


class _Step(NamedTuple):
    place: int
    occurred: int


class PhraseMatcher:
    """Place 0 is where a text begins."""

    def __init__(self, phrases: Sequence[str]) -> None:
        """The phrases are not empty and all different."""
        self.phrases = tuple(phrases)
        self._alphabet = set("".join(phrases))
        self._by_first: dict[str, list[int]] = {}
        for index, phrase in enumerate(phrases):
            self._by_first.setdefault(phrase[0], []).append(index)
        self._places = [_Place(frozenset(), "start")]
        self._numbers = {self._places[0]: 0}
        self._steps: dict[tuple[int, str], _Step] = {}

    def step(self, place: int, character: str) -> tuple[int, int]:
        """The place after a character, and the phrases of which it is certain now that they have occurred."""
        kind = _kind(character)
        # Characters of no phrase differ in their kind alone.
        key = (place, character if character in self._alphabet else kind)
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = self._step(self._places[place], character, kind)
        return found

    def run(self, place: int, text: str) -> tuple[int, int]:
        """`step` by each character of a text."""
        occurred = 0
        for character in text:
            place, more = self.step(place, character)
            occurred |= more
        return place, occurred

    def in_text(self, text: str) -> int:
        """The phrases in a whole text."""
        place, occurred = self.run(0, text)
        return occurred | self.at_end(place)

    def at_end(self, place: int) -> int:
        """The phrases that stand at the end of the text if nothing more comes."""
        whole = (one for one in self._places[place].begun if one.num_characters == len(self._text(one)))
        return sum(1 << one.phrase for one in whole)

    def begun(self, place: int) -> list[Begun]:
        """Phrases that more characters would complete."""
        begun = self._places[place].begun
        return sorted(one for one in begun if one.num_characters < len(self._text(one)))

    def last(self, place: int) -> Last:
        """What the text so far ends with."""
        return self._places[place].last

    def may_begin(self, place: int, phrase: int) -> bool:
        """Whether the phrase may stand right after what is there."""
        return self.last(place) != "word" or not is_word_character(self.phrases[phrase][0])

    def _step(self, before: _Place, character: str, kind: Last) -> _Step:
        begun: set[Begun] = set()
        occurred = 0
        grown = [
            Begun(one.phrase, one.num_characters + 1) for one in before.begun if self._fits(one, character)
        ]
        touches = before.last == "word"
        for phrase in self._by_first.get(character, ()):
            if not (touches and kind == "word"):
                grown.append(Begun(phrase, 1))
        for one in grown:
            is_whole = one.num_characters == len(self._text(one))
            if is_whole and kind != "word":
                occurred |= 1 << one.phrase
            else:
                begun.add(one)
        if kind != "word":
            for one in before.begun:
                if one.num_characters == len(self._text(one)):
                    occurred |= 1 << one.phrase
        return _Step(self._number_of(_Place(frozenset(begun), kind)), occurred)

    def _fits(self, one: Begun, character: str) -> bool:
        text = self._text(one)
        return one.num_characters < len(text) and text[one.num_characters] == character

    def _text(self, one: Begun) -> str:
        return self.phrases[one.phrase]

    def _number_of(self, place: _Place) -> int:
        number = self._numbers.setdefault(place, len(self._places))
        if number == len(self._places):
            self._places.append(place)
        return number


def _kind(character: str) -> Last:
    if is_word_character(character):
        return "word"
    return "space" if character.isspace() else "other"
