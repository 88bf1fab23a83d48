"""Pieces of bytes as text."""

from hypothesis import given
from hypothesis import strategies as st

from potstill.index.snippets import decode, snippet

TEXT = st.text("aä→😀\u0301", max_size=12)


@given(TEXT, st.data())
def test_cut_text_loses_at_most_the_characters_that_the_cut_goes_through(text, draw):
    content = text.encode()
    cuts = sorted(draw.draw(st.tuples(*[st.integers(0, len(content))] * 4)))
    first, start, stop, last = cuts
    cut = snippet(
        content[first:start],
        content[start:stop],
        content[stop:last],
        is_cut_before=first > 0,
        is_cut_after=last < len(content),
    )
    whole = cut.before + cut.match + cut.after
    # A match that begins or ends inside a character, without the rest of it around, shows so.
    assert whole.strip("\ufffd") in text
    assert len(whole.encode()) >= last - first - 6
    if start < stop:
        assert content[start:stop].decode(errors="ignore") in cut.match
        if first == 0 and last == len(content):
            assert whole == text
            # Widened to whole characters, and no farther.
            assert len(cut.match.encode()) <= stop - start + 6


@given(st.binary(max_size=8), st.binary(max_size=8), st.binary(max_size=8))
def test_any_bytes_become_text_without_loss_of_whole_characters(before, match, after):
    cut = snippet(before, match, after, is_cut_before=False, is_cut_after=False)
    if match:
        kept = (cut.before + cut.match + cut.after).replace("\ufffd", "")
        assert kept == decode(before + match + after).replace("\ufffd", "")


def test_bytes_that_are_no_text_become_replacement_characters_and_nothing_else_does():
    cut = snippet(
        b"a\xff", "ä".encode()[:1], "ä".encode()[1:] + b"\xc3", is_cut_before=False, is_cut_after=False
    )
    assert (cut.before, cut.match, cut.after) == ("a\ufffd", "ä", "\ufffd")


def test_what_a_cut_leaves_of_a_character_is_left_out():
    content = "→x→".encode()
    cut = snippet(content[1:3], b"x", content[4:6], is_cut_before=True, is_cut_after=True)
    assert (cut.before, cut.match, cut.after) == ("", "x", "")
