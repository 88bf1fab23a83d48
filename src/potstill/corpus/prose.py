"""Whether a piece of text reads like a sentence, in any language: marks and shares, no word lists."""

import re
from collections import Counter

_ENDS = re.compile(r"(?<!\.)[.?!。！？।॥؟۔](?:[\"'”’»)\]」』）]|\s(?:''|\"|”))*$")
_STARTS_BADLY = re.compile(r"[^\w\s\"'“‘«„(\[¿¡「『（《#$€£¥`]|\d{1,3}[.)]\s|[-*•]\s")
# Addresses, mark-up and what is left of it, code, tables and leaders, copyright lines.
_NOT_PROSE = re.compile(
    r"https?://|www\.|\S+@\S+\.\w|\w+\.(?:com|org|net)\b|[<>{}|\\©®™\t]|[=_~^]{2,}|\.{4,}|(?:-\s?){4,}|\*{2,}|[&#]\w+;|@\W@"
)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SCRIPTS_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_CHARS_A_WORD = 2
_BRACKETS = (("(", ")"), ("[", "]"), ("“", "”"), ("«", "»"), ("「", "」"), ("（", "）"))
_MIN_LETTER_SHARE = 0.7
_MAX_CAPITAL_SHARE = 0.5
_MAX_WORD_SHARE = 0.34
_MIN_WORDS_TO_COUNT_REPEATS = 6
_MAX_WORD_CHARS = 40


def reads_like_a_sentence(text: str) -> bool:
    """Whether `text` ends and begins like one sentence and is prose rather than a table, code or a list item.

    A sentence that ends in an ellipsis was as often as not cut there, so it is turned away. Borders are not
    checked: two sentences in a row read like one here.
    """
    return (
        bool(_ENDS.search(text))
        and not _STARTS_BADLY.match(text)
        and not _NOT_PROSE.search(text)
        and "\n\n" not in text
        and _is_balanced(text)
        and _is_mostly_letters(text)
        and not _is_shouted(text)
        and not _repeats_itself(text)
    )


def count_words(text: str) -> int:
    """Words; in scripts that put no spaces between them, two characters count as one."""
    unspaced = len(_SCRIPTS_WITHOUT_SPACES.findall(text))
    return len(_WORD.findall(_SCRIPTS_WITHOUT_SPACES.sub(" ", text))) + -(-unspaced // _CHARS_A_WORD)


def _is_balanced(text: str) -> bool:
    return text.count('"') % 2 == 0 and all(
        text.count(left) == text.count(right) for left, right in _BRACKETS
    )


def _is_mostly_letters(text: str) -> bool:
    """Marks of vowels and accents that stand apart from their letter count as letters."""
    shown = [character for character in text if not character.isspace()]
    letters = sum(
        character.isalpha() or not (character.isalnum() or character.isascii()) for character in shown
    )
    return bool(shown) and letters >= _MIN_LETTER_SHARE * len(shown)


def _is_shouted(text: str) -> bool:
    cased = [character for character in text if character.isupper() or character.islower()]
    return sum(character.isupper() for character in cased) > _MAX_CAPITAL_SHARE * max(len(cased), 1)


def _repeats_itself(text: str) -> bool:
    words = [word.casefold() for word in _WORD.findall(text)]
    if any(len(word) > _MAX_WORD_CHARS for word in words) and not _SCRIPTS_WITHOUT_SPACES.search(text):
        return True
    if len(words) < _MIN_WORDS_TO_COUNT_REPEATS:
        return False
    return Counter(words).most_common(1)[0][1] > _MAX_WORD_SHARE * len(words)
