"""Where sentences begin and end, by rules of our own.

A border is decided by what stands before it and the word that follows it (two words after a quoted question
or exclamation, whose speaker may be named), so text that streams in can be cut as soon as that is there.

What is not covered: two sentences that are not divided by white space (`end.Next`) in scripts that use it,
and languages other than English have only the rules that need no word list, and a few abbreviations.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from potstill.corpus.borders import CANDIDATE, Candidate, judge


class Span(NamedTuple):
    """Characters text[start:end], without white space at the ends."""

    start: int
    end: int


def split_sentences(text: str) -> list[Span]:
    """The sentences in order; between and around them stands nothing but white space."""
    return list(_spans(text))


def first_sentence(text: str, *, is_complete: bool = False) -> str | None:
    """The first sentence, or None while it may still go on as text streams in (or there is none).

    Once it is returned, more text does not change it. With `is_complete` nothing more will come, and the end
    of the text ends its last sentence.
    """
    start = _skip_space(text, 0)
    end = _next_border(text, start, is_complete=is_complete)
    if end is None and is_complete:
        end = len(text.rstrip())
    return None if end is None or end <= start else text[start:end]


_SPACE = re.compile(r"\s*")


def _skip_space(text: str, start: int) -> int:
    matched = _SPACE.match(text, start)
    assert matched is not None
    return matched.end()


def _spans(text: str) -> Iterator[Span]:
    start, text_end = _skip_space(text, 0), len(text.rstrip())
    while start < text_end:
        end = _next_border(text, start, is_complete=True)
        end = text_end if end is None else end
        yield Span(start, end)
        start = _skip_space(text, end)


def _next_border(text: str, start: int, *, is_complete: bool) -> int | None:
    """The end of the sentence that begins at `start`; None if it is not in the text, or not sure yet."""
    position = start
    while matched := CANDIDATE.search(text, position):
        candidate = Candidate(text, start, matched.start(), matched.end(), is_complete)
        is_border = judge(candidate)
        if is_border is None:
            return None
        if is_border:
            return candidate.sentence_end
        position = matched.end()
    return None
