"""Tells what a template wrote from what it was given to write, character by character.

Each character that a control token is made of gets a stand-in, from a private part of Unicode that nobody
used, wherever a user wrote it. A template carries stand-ins through whatever it does with a text: it joins,
strips and cuts. In what comes out, a control token of plain characters is the template's own; one that has a
stand-in in it is not.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from potstill.errors import UsageError
from potstill.tokenization.control_tokens import ControlToken
from potstill.tokenization.tokenizer import Tokenizer

# The private planes, without the two code points at the end of each that are no characters.
_PRIVATE = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


class ControlSpellings:
    """How a vocabulary's control tokens are spelt, for finding them in a text."""

    def __init__(self, controls: Mapping[str, ControlToken]) -> None:
        self._controls = controls
        spelt = [one for one in controls if one.strip()]
        self.alphabet = "".join(sorted({one for spelling in spelt for one in spelling if not one.isspace()}))
        self._lengths = sorted({len(one) for one in spelt}, reverse=True)
        firsts = re.escape("".join(sorted({one[0] for one in spelt})))
        self._begins = re.compile(f"[{firsts}]") if firsts else re.compile("(?!)")

    def split(self, text: str) -> list[str]:
        """Text, control token, text, …: the longest token at the first place, as tokenizers match them."""
        parts, start = [], 0
        for first, end in self._found(text):
            parts += [text[start:first], text[first:end]]
            start = end
        return [*parts, text[start:]]

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        start = 0
        while (at := self._begins.search(text, start)) is not None:
            first = at.start()
            ends = (first + length for length in self._lengths)
            end = next((one for one in ends if text[first:one] in self._controls), None)
            if end is not None:
                yield first, end
            start = end or first + 1


class Veil:
    """`cover` replaces, `uncover` gives back. White space stays as it is, so that it can be stripped."""

    def __init__(self, spellings: ControlSpellings, base: int) -> None:
        self.spellings = spellings
        self._stand_ins = {ord(one): base + place for place, one in enumerate(spellings.alphabet)}
        self._originals = {after: before for before, after in self._stand_ins.items()}

    @classmethod
    def over(cls, spellings: ControlSpellings, texts: Iterable[str]) -> "Veil":
        """A veil whose stand-ins are in none of `texts`."""
        size = max(len(spellings.alphabet), 1)
        used = {ord(one) for one in set().union(*texts) if ord(one) >= _PRIVATE[0].start}
        for plane in _PRIVATE:
            for base in range(plane.start, plane.stop - size, size):
                if used.isdisjoint(range(base, base + size)):
                    return cls(spellings, base)
        raise UsageError("The messages use characters of every private part of Unicode. Remove some of them.")

    def cover(self, text: str) -> str:
        return text.translate(self._stand_ins)

    def cover_spelt(self, text: str) -> str:
        """Covered only where the text spells control tokens."""
        parts = self.spellings.split(text)
        parts[1::2] = map(self.cover, parts[1::2])
        return "".join(parts)

    def uncover(self, text: str) -> str:
        return text.translate(self._originals)


def encode_parts(parts: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """The ids of what `ControlSpellings.split` gave; only every second part is a control token."""
    controls = tokenizer.control_tokens
    ids: list[int] = []
    for place, part in enumerate(parts):
        if place % 2:
            ids.append(controls[part].token_id)
            continue
        if place > 0 and controls[parts[place - 1]].takes_after:
            part = part.lstrip()
        if place + 1 < len(parts) and controls[parts[place + 1]].takes_before:
            part = part.rstrip()
        if part:
            ids += (tokenizer if place == 0 else tokenizer.after_control).encode(part)
    return ids
