"""Token bytes as text: whole characters, and U+FFFD only for bytes that are no UTF-8."""

from dataclasses import dataclass

_LONGEST_CHARACTER = 4


@dataclass(frozen=True, slots=True)
class Snippet:
    before: str
    match: str
    after: str


def decode(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def snippet(before: bytes, match: bytes, after: bytes, *, is_cut_before: bool, is_cut_after: bool) -> Snippet:
    """The three as text. A character that lies over a border of `match` belongs to it.

    `is_cut_before`, `is_cut_after`: more stands outside, so what is left of a character at that end is an
    effect of the cut and is left out.
    """
    whole = before + match + after
    first = _start_of_character(whole, len(before))
    stop = _end_of_character(whole, len(before) + len(match)) if match else first
    head, tail = whole[:first], whole[stop:]
    if is_cut_before:
        head = _without_broken_start(head)
    if is_cut_after:
        tail = _without_broken_end(tail)
    return Snippet(decode(head), decode(whole[first:stop]), decode(tail))


def _character_over(content: bytes, border: int) -> tuple[int, int] | None:
    """Where a character begins and ends that has bytes on both sides of `border`."""
    for start in range(max(border - _LONGEST_CHARACTER + 1, 0), border):
        stop = start + _length_of(content[start])
        if border < stop <= len(content) and _is_utf8(content[start:stop]):
            return start, stop
    return None


def _start_of_character(content: bytes, border: int) -> int:
    found = _character_over(content, border)
    return found[0] if found else border


def _end_of_character(content: bytes, border: int) -> int:
    found = _character_over(content, border)
    return found[1] if found else border


def _length_of(lead: int) -> int:
    """Bytes of a character that begins so; 1 for what begins none."""
    return 4 if 0xF0 <= lead <= 0xF4 else 3 if lead >= 0xE0 else 2 if 0xC2 <= lead <= 0xDF else 1


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_broken_start(content: bytes) -> bytes:
    broken = 0
    while broken < min(len(content), _LONGEST_CHARACTER - 1) and content[broken] & 0xC0 == 0x80:
        broken += 1
    return content[broken:]


def _without_broken_end(content: bytes) -> bytes:
    for length in range(1, min(_LONGEST_CHARACTER, len(content) + 1)):
        lead = content[-length]
        if lead & 0xC0 != 0x80:
            return content[:-length] if _length_of(lead) > length else content
    return content
