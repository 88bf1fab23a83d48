"""Whether a sentence ends at a mark or a line break. Used by `sentences`, which says what is covered.

Every rule answers True, False, or None: None only while the text is still streaming in and the word that
decides is not all there.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from potstill.corpus import abbreviations as words

# Full stops of scripts that need no space after a sentence, or whose stop means nothing else.
_STRONG = "。！？｡．।॥؟۔։።။។"
_CLOSING = "\"'”’»)\\]}」』）】》"
_OPENING = "\"'“‘«„‹([{「『（【《¿¡*_#"

CANDIDATE = re.compile(
    rf"[{_STRONG}]+[{_CLOSING}]*"
    rf"|[.!?…]+[{_CLOSING}]*(?=\s|$)"
    r"|(?<=\S)[^\S\n]*\n\s*"
)
_SPACE = re.compile(r"\s*")
_NEXT_WORD = re.compile(r"\s*(\S*)")
_LIST_MARK = re.compile(r"(?:[-*•–·▪◦]|\(?(?:\d{1,3}|[a-z])[.)])$")
_LETTERS_WITH_DOTS = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}$")
_LOOK_BACK_CHARS = 300
# A line this long may have been broken because the next word did not fit.
_WRAP_CHARS = range(55, 110)
_SPACED_GUILLEMET = re.compile(r"[ \u00a0\u202f]»(?=\s|$)")
_SPACED_CLOSER = re.compile(r"\s(?:''|”|’|»|\"|'|\)|-rrb-)(?=\s|$)")


@dataclass(frozen=True)
class Candidate:
    """A place text[mark_start:mark_end] where the sentence that begins at `start` may end."""

    text: str
    start: int
    mark_start: int
    mark_end: int
    is_complete: bool

    @cached_property
    def mark(self) -> str:
        return self.text[self.mark_start : self.mark_end]

    @cached_property
    def closers(self) -> str:
        """The quotes and brackets between the mark and the end of the sentence."""
        return self.text[self.mark_start : self.sentence_end].lstrip(_STRONG + ".!?…")

    @cached_property
    def is_line_break(self) -> bool:
        return "\n" in self.mark

    @cached_property
    def is_spaced(self) -> bool:
        """Whether white space stands before the mark, as in tokenised text."""
        return self.mark_start > self.start and self.text[self.mark_start - 1].isspace()

    @cached_property
    def sentence(self) -> str:
        """What stands before the mark, but no more than its end: a text without borders costs no more."""
        return self.text[max(self.start, self.mark_start - _LOOK_BACK_CHARS) : self.mark_start]

    @cached_property
    def sentence_end(self) -> int:
        if self.is_line_break:
            return self.mark_start
        end = self.mark_end
        while matched := (_SPACED_CLOSER if self.is_spaced else _SPACED_GUILLEMET).match(self.text, end):
            if matched[0][1] in "\"'" and len(matched[0]) == 2 and self._is_balanced(matched[0][1]):
                break
            end = matched.end()
        return end

    def _is_balanced(self, quote: str) -> bool:
        return self.sentence.split().count(quote) % 2 == 0

    @cached_property
    def last_word(self) -> str:
        """The word the mark is attached to, without opening brackets and quotes."""
        left = self.sentence.rstrip() if self.is_spaced else self.sentence
        last = left.rsplit(None, 1)[-1] if left.strip() else ""
        return re.split(r"[-–—/]", last.lstrip(_OPENING))[-1].lstrip(_OPENING)

    @cached_property
    def next_word(self) -> str:
        """What follows up to white space; only its beginning while `is_next_whole` is False."""
        return self._next[1]

    @cached_property
    def is_next_whole(self) -> bool:
        return self.is_complete or self._next.end() < len(self.text)

    @cached_property
    def next_may_close(self) -> bool:
        """Whether what is there of the next word may become a closing mark, which belongs to the sentence."""
        return not self.is_next_whole and any(mark.startswith(self.next_word) for mark in ("''", "-rrb-"))

    @cached_property
    def second_word(self) -> "str | None":
        """The word after the next one, or None while it is not all there."""
        second = _NEXT_WORD.match(self.text, self._next.end())
        assert second is not None
        return second[1] if self.is_complete or second.end() < len(self.text) else None

    @cached_property
    def _next(self) -> "re.Match[str]":
        matched = _NEXT_WORD.match(self.text, self.sentence_end if not self.is_line_break else self.mark_end)
        assert matched is not None
        return matched

    @cached_property
    def bare_next(self) -> str:
        return self.next_word.lstrip(_OPENING + "`-–—…")

    @cached_property
    def is_small_text(self) -> bool:
        """Whether the sentence so far has no capital letter, so that capitals say nothing."""
        return not any(character.isupper() for character in self.sentence)


def judge(candidate: Candidate) -> bool | None:
    """Whether the sentence ends at the candidate; None while the next word must be seen first."""
    if candidate.is_line_break:
        return _judge_line_break(candidate)
    if not candidate.next_word:
        # The end of the text is a border anyway; a mark that text may still follow is not one yet.
        return True if candidate.is_complete else _is_paragraph_over(candidate)
    if _is_paragraph_over(candidate):
        return True
    if candidate.is_spaced and candidate.next_may_close:
        return None
    if candidate.mark[0] in _STRONG:
        return not candidate.next_word.startswith(("と", "っ", ",", "，", "、"))
    if set(candidate.mark) & set("!?"):
        return _judge_mark(candidate)
    if "…" in candidate.mark or candidate.mark.startswith(".."):
        return _judge_ellipsis(candidate)
    return _judge_period(candidate)


def _is_paragraph_over(candidate: Candidate) -> bool | None:
    space = _SPACE.match(candidate.text, candidate.sentence_end)
    return True if space is not None and space[0].count("\n") > 1 else None


def _judge_line_break(candidate: Candidate) -> bool | None:
    """Blank lines and list marks divide; so does any other break but one that keeps a line to a width."""
    if candidate.mark.count("\n") > 1:
        return True
    if not candidate.is_next_whole:
        return None
    if _LIST_MARK.match(candidate.next_word):
        return True
    if not candidate.bare_next or candidate.bare_next[0].islower():
        return candidate.is_complete and not candidate.next_word
    line_start = candidate.text.rfind("\n", 0, candidate.mark_start) + 1
    line_chars = candidate.mark_start - line_start
    wanted_chars = line_chars + 1 + len(candidate.next_word)
    return not (wanted_chars in _WRAP_CHARS or line_chars in _WRAP_CHARS)


def _judge_mark(candidate: Candidate) -> bool | None:
    """After `?` and `!`."""
    if candidate.last_word in words.NAMES_WITH_MARK and not candidate.closers:
        return _is_starter(candidate)
    starts = _starts_high(candidate)
    is_quoted = any(quote in candidate.closers for quote in "\"'”’»")
    if not starts or not is_quoted or candidate.next_word[0] in _OPENING:
        return starts
    if not candidate.is_next_whole:
        return None
    if candidate.is_small_text and _plain(candidate.next_word) in words.SAYING:
        return False
    return None if candidate.second_word is None else _plain(candidate.second_word) not in words.SAYING


def _judge_ellipsis(candidate: Candidate) -> bool | None:
    """After `...`: the sentence goes on with a small letter, or with a speaker who starts again."""
    if not candidate.is_next_whole:
        return None
    if candidate.is_small_text and candidate.is_spaced:
        return False
    return _begins_high(candidate.bare_next) and not re.match(r"I(?:['’]\w+)?\b", candidate.bare_next)


def _judge_period(candidate: Candidate) -> bool | None:
    word = candidate.last_word
    if candidate.is_spaced:
        return True if candidate.is_small_text else _starts_high(candidate)
    if _is_list_number(candidate):
        return False
    kind = _abbreviation_kind(candidate)
    if kind is None:
        return _after_number(candidate) if word.isdigit() else _starts_high(candidate)
    if ")" in candidate.closers or "]" in candidate.closers or kind == "never":
        return False
    if not candidate.is_next_whole:
        return None
    if kind == "number":
        numbered = r"[\d#]" if word in ("No", "Nos", "Ed") else r"[\d#]|[IVXLC]+\b|[A-Z]\b(?!['’])"
        return _begins_high(candidate.bare_next) and not re.match(numbered, candidate.bare_next)
    if kind == "time":
        return _after_time(candidate)
    return _is_starter(candidate)


def _abbreviation_kind(candidate: Candidate) -> str | None:
    """`never`, `number`, `time`, `maybe`, or None for an ordinary word."""
    word = candidate.last_word
    if word in words.ALSO_WORDS and not re.match(r"[\d#]", candidate.bare_next):
        return None
    forms = {word, word.capitalize(), word.lower()} if len(word) > 1 else {word}
    if word in words.NEVER_LAST or (forms & words.NEVER_LAST):
        return "never"
    if forms & words.BEFORE_NUMBER:
        return None if candidate.closers else "number"
    if forms & words.TIME_AND_LISTS:
        return "time"
    is_initial = len(word) == 1 and word.isalpha()
    if forms & words.MAYBE_LAST or is_initial or _LETTERS_WITH_DOTS.match(word):
        return "maybe"
    return None


def _is_list_number(candidate: Candidate) -> bool:
    lead = candidate.sentence.strip(_OPENING + " \t")
    is_mark = re.fullmatch(r"\d{1,3}|[IVX]{1,5}|[a-zA-Z]|\d+(?:\.\d+)+", lead) is not None
    return is_mark and not candidate.closers and lead != "I"


def _after_number(candidate: Candidate) -> bool | None:
    """After a number: `3. Oktober` goes on, `in 1999. The` does not."""
    if len(candidate.last_word) < 3 and not candidate.is_next_whole:
        return None
    if len(candidate.last_word) < 3 and _plain(candidate.bare_next) in words.MONTHS:
        return False
    return _starts_high(candidate)


def _after_time(candidate: Candidate) -> bool | None:
    bare = _plain(candidate.bare_next)
    if candidate.last_word.lower() not in ("a.m", "p.m", "etc") and re.match(r"[\d#]", bare):
        return False
    if bare in words.TIME_WORDS or re.match(r"[\d#]", bare):
        return False
    return _is_starter(candidate) if candidate.is_small_text else _begins_high(candidate.bare_next)


def _is_starter(candidate: Candidate) -> bool | None:
    """Whether the next word is one that starts sentences; an opening quote counts as one."""
    if not candidate.is_next_whole:
        return None
    if candidate.next_word[0] in '"“‘«' or candidate.next_word.startswith("``"):
        return True
    is_initial = re.match(r"[A-Z]\.", candidate.bare_next) is not None
    known = words.SMALL_STARTERS if candidate.is_small_text else words.STARTERS
    return not is_initial and _plain(candidate.bare_next) in known


def _plain(word: str) -> str:
    return word.replace("’", "'").rstrip(",.;:!?…\"”)]'")


def _starts_high(candidate: Candidate) -> bool | None:
    """Whether the next word can start a sentence by its look alone."""
    bare = candidate.bare_next
    if not bare:
        return _after_lone_mark(candidate)
    if candidate.is_small_text and not candidate.closers:
        return bare[0].isalnum() or bare[0] == "#"
    if bare[0].islower() and len(bare) < 2 and not candidate.is_next_whole:
        return None
    return _begins_high(bare)


def _after_lone_mark(candidate: Candidate) -> bool | None:
    """A bullet or quotation mark by itself begins a sentence; a dash unless a small letter follows it."""
    if not candidate.is_next_whole:
        return None
    if candidate.is_small_text or not set(candidate.next_word) <= set("-–—"):
        return True
    return None if candidate.second_word is None else not candidate.second_word[:1].islower()


def _begins_high(bare: str) -> bool:
    """A capital, a digit, a letter of a script without case, or a name like iPhone."""
    if not bare:
        return False
    if bare[0].islower():
        return len(bare) > 1 and bare[1].isupper()
    return bare[0].isalnum() or bare[0] in "#$€£¥@&%"
