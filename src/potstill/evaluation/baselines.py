"""What anyone can do without a model, cut to a length that makes the comparison fair."""

import re

_CLAUSE = re.compile(
    r"(?<=\w)\s*(?:[,;:–—](?!\d)|--| - | which | who | because | although | while | after | as )"
)
_MIN_CLAUSE_WORDS = 4


def first_words(source: str, num_words: int) -> str:
    """The first `num_words` words; a sentence that is cut ends with a full stop."""
    words = source.split()
    return source if len(words) <= num_words else _closed(" ".join(words[:num_words]))


def first_characters(source: str, num_characters: int) -> str:
    """The first `num_characters` characters: the 75-character baseline of sentence summarisation."""
    return source[:num_characters].strip()


def first_clause(source: str) -> str:
    """Up to the first comma, dash or subordinating word that leaves at least four words."""
    for match in _CLAUSE.finditer(source):
        if len(source[: match.start()].split()) >= _MIN_CLAUSE_WORDS:
            return _closed(source[: match.start()])
    return source


def _closed(text: str) -> str:
    return text.rstrip(" ,;:–—-.") + "."
