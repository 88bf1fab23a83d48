"""Text that is shown as it is written, without white space at its ends."""

from collections.abc import Iterable, Iterator


def stripped_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of a text without white space at its ends; what stands between words comes with the next."""
    space, has_begun = "", False
    for piece in pieces:
        text = (space + piece) if has_begun else piece.lstrip()
        shown = text.rstrip()
        space = text[len(shown) :]
        has_begun = has_begun or bool(shown)
        if shown:
            yield shown
