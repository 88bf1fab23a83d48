"""The numbers and names a text states, so that a target can be held against its source.

Rules, not a tagger: a name is a capitalised word that does not open a sentence; in text without capitals a
name is a word the vocabulary finds rare. What they miss (a wrong verb, a swapped role) is for the critics that
ask a model.
"""

import re
from collections.abc import Callable

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*", re.UNICODE)
_NUMBER = re.compile(r"[#\d]+(?:[.,:/][#\d]+)*")
_OPENERS = frozenset(".!?:\"“”‘'`([-—–•")
_SPELLED = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen twenty".split()
    )
}
_SPELLED |= {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70"}
_SPELLED |= {"eighty": "80", "ninety": "90", "hundred": "100", "thousand": "1000", "million": "1000000"}
_SPELLED |= {"billion": "1000000000", "dozen": "12", "half": "0.5", "twice": "2", "double": "2"}
# "One" is a pronoun and an article as often as a count, so a target may add it.
_NOT_COUNTED = frozenset({"0", "1"})

IsRare = Callable[[str], bool]


def words(text: str) -> list[str]:
    """Lower-case words and numbers, in order."""
    return [match.group().lower() for match in re.finditer(rf"{_NUMBER.pattern}|{_WORD.pattern}", text)]


def numbers(text: str) -> set[str]:
    """Every number, digits without their thousands separators, spelled ones as digits."""
    written = {_canonical(match.group()) for match in _NUMBER.finditer(text)}
    spelled = {_SPELLED[word] for word in words(text) if word in _SPELLED} - _NOT_COUNTED
    return written | spelled


def names(text: str, is_rare: IsRare) -> set[str]:
    """Names in lower case: capitalised words inside a sentence, or rare words where nothing is capitalised."""
    if not has_capitals(text):
        return {word for word in words(text) if not word[0].isdigit() and word[0] != "#" and is_rare(word)}
    found = set()
    for match in _WORD.finditer(text):
        word = match.group()
        if word[0].isupper() and (not _opens_sentence(text, match.start()) or is_rare(word.lower())):
            found.add(word.lower().removesuffix("'s").removesuffix("’s"))
    return found - {"i"}


def has_capitals(text: str) -> bool:
    return any(character.isupper() for character in text)


def unsupported_numbers(target: str, source: str) -> set[str]:
    """Numbers of the target that the source does not state."""
    return numbers(target) - numbers(source)


def unsupported_names(target: str, source: str, is_rare: IsRare) -> set[str]:
    """Names of the target of which no form stands in the source.

    A name counts as standing there when a source word equals it or shares its first letters, all but the last
    two of at least four: `Syrian` is supported by `Syria`, and by no shorter accident.
    """
    stated = set(words(source)) | {word.removesuffix("'s").removesuffix("’s") for word in words(source)}
    return {name for name in names(target, is_rare) if not any(_same_name(name, word) for word in stated)}


def _same_name(name: str, word: str) -> bool:
    if name == word:
        return True
    stem = max(4, len(name) - 2, len(word) - 3)
    return len(name) >= stem and len(word) >= stem and name[:stem] == word[:stem]


def _opens_sentence(text: str, start: int) -> bool:
    before = text[:start].rstrip()
    return not before or before[-1] in _OPENERS


def _canonical(number: str) -> str:
    plain = re.sub(r",(?=\d{3}(?:\D|$))", "", number).rstrip(".,:/")
    return plain.removesuffix(".0")
