"""The numbers and names a text states, so that a target can be held against its source.

Rules, not a tagger: a name is a capitalised word that does not open a sentence; in text without capitals a
name is a word the vocabulary finds rare. What they miss (a wrong verb, a swapped role) is for the critics
that ask a model.
"""

import re
from collections.abc import Callable

from potstill.corpus.sentences import split_sentences
from potstill.synthesis.numerals import NUMBER, numbers, sure_numbers
from potstill.synthesis.word_forms import are_forms_of_one

_LETTER = r"[^\W\d_]"
# `U.S.` is one word, and so is `O'Brien's`.
_WORD = re.compile(
    rf"(?<![^\W_]){_LETTER}(?:\.{_LETTER})+(?!{_LETTER})\.?(?:['’]s\b)?|{_LETTER}+(?:['’]{_LETTER}+)*"
)
_TOKEN = re.compile(rf"{NUMBER.pattern}|{_WORD.pattern}")
_CLITIC = re.compile(r"(?:'(?:s|m|d|ll|re|ve)|n't)$")
# What may stand before a sentence's first word, once the text before it is done.
_OPENING = re.compile(r"[\s\"“”‘'`(\[•–—-]*")
_SPEECH = re.compile(r"(?:^|[,:;.!?–—-])\s*[\"“‘`']+$|[:•]\s*$")
# Written with a capital inside a sentence they belong to a title or open quoted speech.
_FUNCTION_WORDS = """
    a an the and or but nor of in on at to for from by with into over under as if is are was were be been has
    have had do does did he she it we you they i his her its our your their my this that these those there
    here who what when where why how which whose not no yes so then than now after before while since because
    although however all some many most more both each every any other such only also just even still
"""
_IS_FUNCTION_WORD = frozenset(_FUNCTION_WORDS.split())

IsRare = Callable[[str], bool]


def words(text: str) -> list[str]:
    """Lower-case words and numbers, in order; `U.S.` gives `us`, and a typographic apostrophe a plain one."""
    return [_plain(match.group()) for match in _TOKEN.finditer(text)]


def names(text: str, is_rare: IsRare) -> set[str]:
    """Names in lower case: capitalised words inside a sentence, or rare words where nothing is capitalised.

    A capitalised word that opens a sentence is one if it is rare.
    """
    if not has_capitals(text):
        spoken = {_without_clitic(word) for word in words(text) if not NUMBER.match(word)}
        return {word for word in spoken if len(word) > 1 and is_rare(word)}
    openings = _openings(text)
    found = set()
    for match in _WORD.finditer(text):
        name = _without_clitic(_plain(match.group()))
        if match.group()[0].isupper() and not _is_function_word(match.group(), name):
            opens = match.start() in openings or _SPEECH.search(text, 0, match.start()) is not None
            if not opens or is_rare(name):
                found.add(name)
    return found


def has_capitals(text: str) -> bool:
    return any(character.isupper() for character in text)


def unsupported_numbers(target: str, source: str) -> set[str]:
    """Numbers of the target that the source does not state.

    A written-out `one`, `zero`, `first` or `second` needs no support: it is an article, a pronoun or a unit
    as often as a number.
    """
    return sure_numbers(target) - numbers(source)


def unsupported_names(target: str, source: str, is_rare: IsRare) -> set[str]:
    """Names of the target of which no form stands in the source.

    `Syrian` is supported by `Syria`, and an initial by any word that begins with it.
    """
    stated = {form for word in words(source) for form in (word, _without_clitic(word))}
    initials = {word[0] for word in stated if word}
    return {
        name
        for name in names(target, is_rare)
        if not (name in initials if len(name) == 1 else any(are_forms_of_one(name, word) for word in stated))
    }


def _plain(word: str) -> str:
    lower = word.lower().replace("’", "'")
    return lower if NUMBER.match(lower) else lower.replace(".", "")


def _without_clitic(word: str) -> str:
    return _CLITIC.sub("", word)


def _is_function_word(written: str, name: str) -> bool:
    """`The` and `I'm` are, `US` and `WHO` are not."""
    return name in _IS_FUNCTION_WORD and (len(name) == 1 or not written.isupper())


def _openings(text: str) -> set[int]:
    """Where the first word of each sentence begins."""
    found = set()
    for span in split_sentences(text):
        opening = _OPENING.match(text, span.start)
        assert opening is not None
        found.add(opening.end())
    return found
