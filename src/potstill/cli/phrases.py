"""`--contains` and `--avoids`: phrases that a text must hold or must not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from potstill.types import Clauses

Contains = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="Words the text must hold; of those parted by | one. Repeatable."),
]
Avoids = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="Words the text must not hold. Repeatable.")
]


def clauses_of(contains: Sequence[str] | None, avoids: Sequence[str] | None) -> "Clauses":
    """A clause for each wanted text and each avoided phrase; UsageError for what no text can hold."""
    from potstill.constraints.lexical import check_clauses
    from potstill.types import Phrase

    wanted = [tuple(map(Phrase, _alternatives("--contains", text))) for text in contains or ()]
    banned = [phrase for text in avoids or () for phrase in _alternatives("--avoids", text)]
    clauses = (*wanted, *((Phrase(phrase, is_wanted=False),) for phrase in banned))
    check_clauses(clauses)
    return clauses


def _alternatives(option: str, text: str) -> list[str]:
    from potstill.errors import UsageError

    found = [part.strip() for part in text.split("|")]
    if not all(found):
        raise UsageError(f"{option} {text!r} has no words on one side of a |. Write them, or drop the |.")
    return found
