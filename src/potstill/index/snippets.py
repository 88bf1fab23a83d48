"""Token bytes as text: whole characters, and U+FFFD only for bytes that are no UTF-8."""

from dataclasses import dataclass

LONGEST_CHARACTER_BYTES = 4


@dataclass(frozen=True, slots=True)
class Snippet:
    before: str
    match: str
    after: str


@dataclass(frozen=True, slots=True)
class Borders:
    """Where a snippet's three pieces lie in some bytes: before [first, start), match [start, stop), after
    [stop, last).
    """

    first: int
    start: int
    stop: int
    last: int


def decode(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def snippet(content: bytes, borders: Borders) -> Snippet:
    """The three pieces as text.

    A character over a border of the match belongs to it; one over an outer border is left out. `content`
    holds some bytes beyond the outer borders where there are any, so that such characters can be told from
    bytes that are no UTF-8.
    """
    start = _start_of_character(content, borders.start)
    stop = _end_of_character(content, borders.stop) if borders.start < borders.stop else start
    first = min(_end_of_character(content, borders.first), start)
    last = max(_start_of_character(content, borders.last), stop)
    return Snippet(decode(content[first:start]), decode(content[start:stop]), decode(content[stop:last]))


def _character_over(content: bytes, border: int) -> tuple[int, int] | None:
    """Where a character begins and ends that has bytes on both sides of `border`."""
    for start in range(max(border - LONGEST_CHARACTER_BYTES + 1, 0), border):
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
