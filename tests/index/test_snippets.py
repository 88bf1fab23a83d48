"""Pieces of bytes as text."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from potstill.index.snippets import Borders, decode, snippet

TEXT = st.text("aä→😀\u0301", max_size=12)


@given(TEXT, st.data())
def test_a_snippet_of_a_text_is_whole_characters(text, draw):
    content = text.encode()
    first, start, stop, last = sorted(draw.draw(st.tuples(*[st.integers(0, len(content))] * 4)))
    found = snippet(content, Borders(first, start, stop, last))
    ends = [0, *accumulate(len(character.encode()) for character in text)]
    wide_start = max(end for end in ends if end <= start)
    wide_stop = min(end for end in ends if end >= stop) if start < stop else wide_start
    inner_first = min(min(end for end in ends if end >= first), wide_start)
    inner_last = max(max(end for end in ends if end <= last), wide_stop)
    pieces = [content[inner_first:wide_start], content[wide_start:wide_stop], content[wide_stop:inner_last]]
    assert [found.before, found.match, found.after] == [piece.decode() for piece in pieces]


@given(st.binary(max_size=12), st.data())
def test_all_of_any_bytes_loses_no_character(content, draw):
    start, stop = sorted(draw.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    found = snippet(content, Borders(0, start, stop, len(content)))
    kept = (found.before + found.match + found.after).replace("\ufffd", "")
    assert kept == decode(content).replace("\ufffd", "")


def test_bytes_that_are_no_text_become_replacement_characters_and_nothing_else_does():
    found = snippet(b"a\xff\xc3\xa4\xc3", Borders(0, 2, 3, 5))
    assert (found.before, found.match, found.after) == ("a\ufffd", "ä", "\ufffd")
