"""Why a grammar is refused, in a sentence: what llguidance says, shortened, and where that stands."""

import re
from collections.abc import Iterator
from typing import Any

from potstill.constraints.sources import Source
from potstill.errors import UsageError

_MOST_CHARACTERS = 300
_UNKNOWN_KEYS = re.compile(r"Unimplemented keys: \[(.*)\]")
_IN_REGEX = re.compile(r"error: (.*)")


def refusal(source: Source, objection: str) -> UsageError:
    name = source.name[0].upper() + source.name[1:]
    return UsageError(f"{name} cannot be used: {_told(source, objection)}.")


def _told(source: Source, objection: str) -> str:
    if found := _UNKNOWN_KEYS.search(objection):
        keys = [key.strip(' "') for key in found[1].split(",")]
        places = [f"{key!r} (at {_place_of(key, source.schema)})" for key in keys]
        return f"{', '.join(places)} is not supported. Leave it out and check texts afterwards"
    if objection.startswith("oneOf constraints"):
        where = _place_of("oneOf", source.schema)
        return f"the branches of 'oneOf' (at {where}) are not told apart by type or a constant; use 'anyOf'"
    if "NoExtensionBias" in objection:
        return "it allows no text at all"
    if found := _IN_REGEX.search(objection):
        return found[1].rstrip(".")
    return _shortened(objection.split("\n")[0])


def _shortened(text: str) -> str:
    text = text.rstrip(" .")
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


def _place_of(key: str, schema: Any) -> str:
    """The first place of a keyword, as a JSON pointer."""
    return next(_places(key, schema, "#"), "#")


def _places(key: str, value: Any, pointer: str) -> Iterator[str]:
    if isinstance(value, dict):
        if key in value:
            yield f"{pointer}/{key}"
        for name, inner in value.items():
            yield from _places(key, inner, f"{pointer}/{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _places(key, inner, f"{pointer}/{place}")
