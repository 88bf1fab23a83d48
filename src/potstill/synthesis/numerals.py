"""The numbers a text states, however they are written: `2,500`, `2.5 thousand`, `twenty-five hundred`.

English words only. Dates, times, scores and fractions in digits (`9:30`, `3/4`) stand for themselves, and so
does a number of old newswire text whose digits are masked (`#.#`).
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

NUMBER = re.compile(r"[#\d]+(?:[.,:/][#\d]+)*")


def _ranked(words: str, start: int = 0, step: int = 1) -> dict[str, int]:
    return {word: start + step * rank for rank, word in enumerate(words.split())}


_UNITS = _ranked(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_UNITS |= {"twice": 2, "double": 2, "doubled": 2, "doubling": 2, "thrice": 3, "tripled": 3}
_ORDINALS = _ranked(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth",
    start=1,
)
_UNITS |= _ORDINALS
_TENS = _ranked("twenty thirty forty fifty sixty seventy eighty ninety", start=20, step=10)
_SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_SCALES |= {"mn": 10**6, "bn": 10**9, "tn": 10**12}
_VAGUE = frozenset({"dozens", "hundreds", "thousands", "millions", "billions", "trillions"})
# Pronouns, articles and a unit of time as often as counts: they support a number, but state none for sure.
_UNSURE = frozenset({"zero", "one", "first", "second"})
# More digits than this are a serial number, not a quantity.
_MAX_DIGITS = 24

_TOKEN = re.compile(rf"(?P<digits>{NUMBER.pattern})|(?P<word>[^\W\d_]+)")
_JOINT = re.compile(r"[\s-]*")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")


class _Token(NamedTuple):
    """`is_joined`: only white space or a hyphen stands between the token before and this one."""

    text: str
    is_joined: bool


class _Reading(NamedTuple):
    """`num_tokens` tokens that state `value`; not `is_sure` where they may mean something else."""

    value: str
    num_tokens: int
    is_sure: bool = True


def numbers(text: str) -> set[str]:
    """Every number, in digits without thousands separators; a masked one as its mask."""
    return {reading.value for reading in _readings(text)}


def sure_numbers(text: str) -> set[str]:
    """Those of `numbers` that are meant as numbers: not the `one` of `one of them`."""
    return {reading.value for reading in _readings(text) if reading.is_sure}


def _readings(text: str) -> list[_Reading]:
    tokens = _tokens(text)
    found: list[_Reading] = []
    position = 0
    while position < len(tokens):
        reading = _read(tokens[position:])
        if reading is not None:
            found.append(reading)
        position += 1 if reading is None else reading.num_tokens
    return found


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    end = 0
    for match in _TOKEN.finditer(text):
        is_joined = bool(found) and _JOINT.fullmatch(text, end, match.start()) is not None
        found.append(_Token(match.group().lower(), is_joined))
        end = match.end()
    return found


def _read(tokens: Sequence[_Token]) -> _Reading | None:
    """What the tokens begin with, if that is a number."""
    first = tokens[0].text
    if NUMBER.fullmatch(first):
        return _read_digits(tokens)
    if first == "half":
        is_share = [token.text for token in tokens[1:2]] == ["a"] and _joined_scale(tokens, 2) is not None
        scale = _SCALES[tokens[2].text] if is_share else 1
        return _Reading(_shown(Decimal(scale) / 2), 3 if is_share else 1)
    if first in _VAGUE:
        return _Reading(first, 1)
    return _read_spelled(tokens) if first in _UNITS or first in _TENS or first in _SCALES else None


def _read_digits(tokens: Sequence[_Token]) -> _Reading:
    plain = re.sub(r",(?=[#\d]{3}(?![#\d]))", "", tokens[0].text)
    if not _PLAIN.fullmatch(plain) or len(plain) > _MAX_DIGITS:
        return _Reading(plain, 1)
    value, used = Decimal(plain), 1
    while (scale := _joined_scale(tokens, used)) is not None:
        value, used = value * scale, used + 1
    return _Reading(_shown(value), used)


def _joined_scale(tokens: Sequence[_Token], index: int) -> int | None:
    if index < len(tokens) and tokens[index].is_joined:
        return _SCALES.get(tokens[index].text)
    return None


def _read_spelled(tokens: Sequence[_Token]) -> _Reading:
    """`two hundred and five thousand`: what is below a scale is summed in `group`, the scales in `total`."""
    total, group, used = 0, 0, 0
    room = 1000  # what comes next must be below this: 1000 anew, 100 after a hundred, 10 after twenty
    least_scale = max(_SCALES.values()) + 1
    for index, (word, is_joined) in enumerate(tokens):
        scale = _SCALES.get(word, 0)
        if index and not is_joined:
            break
        if word == "and" and used and _goes_on_after_and(tokens, index, room):
            continue
        if _fits(word, room):
            group, room = group + _UNITS.get(word, _TENS.get(word, 0)), 10 if word in _TENS else 0
        elif 0 < scale <= 100 and (room == 1000 or 0 < group < 100):
            group, room = max(1, group) * scale, 100
        elif 100 < scale < least_scale and (group or not used):
            total, group, room, least_scale = total + max(1, group) * scale, 0, 1000, scale
        else:
            break
        used = index + 1
    return _Reading(str(total + group), max(1, used), is_sure=used > 1 or tokens[0].text not in _UNSURE)


def _fits(word: str, room: int) -> bool:
    if word in _TENS:
        return room >= 100
    return word in _UNITS and (room >= 100 or 0 < _UNITS[word] < room)


def _goes_on_after_and(tokens: Sequence[_Token], index: int, room: int) -> bool:
    """In `one hundred and five`, but not in `between one hundred and two hundred`."""
    following = [token.text for token in tokens[index + 1 : index + 3] if token.is_joined]
    if room not in (100, 1000) or not following or following[0] not in _UNITS.keys() | _TENS.keys():
        return False
    return len(following) < 2 or _SCALES.get(following[1], 1000) > 100


def _shown(value: Decimal) -> str:
    return format(value.normalize(), "f")
