"""A request's grammar as llguidance takes it, after what can be said against it at a glance."""

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llguidance import LLMatcher, regex_to_lark

from potstill.constraints.limits import MAX_DEPTH, MAX_SOURCE_BYTES
from potstill.errors import UsageError
from potstill.types import Grammar

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_LARK_TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"|//.*|/(?:\\.|[^/\\\n])+/|#.*')
_TOKEN = re.compile(r"<[^<>\n]*>")
_BRACKETS = re.compile(r"[\[\]{}]")
# One way to set spaces, Python's: a model cannot go on with white space for ever, and more is forced.
_SPACES: "JsonCompileOptions" = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
_STRICT: "JsonCompileOptions" = {"lenient": False, "coerce_one_of": False}

NAMES = {
    "regex": "the regular expression",
    "json_schema": "the JSON schema",
    "lark": "the grammar",
    "choices": "the list of choices",
}


class Source(NamedTuple):
    """`text` is what llguidance takes; `schema` the JSON schema where it is one."""

    name: str
    text: str
    schema: Any = None


def source_of(grammar: Grammar) -> Source:
    """UsageError where the source is too large, nested too deeply, or not what its kind asks for."""
    if grammar.kind not in NAMES:
        raise UsageError(f"A grammar's kind is {grammar.kind!r}; it must be one of {', '.join(NAMES)}.")
    name = NAMES[grammar.kind]
    _check_size(grammar.source, name)
    if grammar.kind == "regex":
        return Source(name, _of_regex(grammar.source))
    if grammar.kind == "lark":
        _check_names_no_token(grammar.source)
        return Source(name, _of_lark(grammar.source))
    value = _read_json(grammar.source, name)
    if grammar.kind == "choices":
        return Source(name, _of_regex(_any_of(value)))
    return Source(name, _of_schema(value, grammar.source), value)


def after_space(text: str) -> str:
    """A grammar as llguidance takes it, with a space before its texts."""
    table = json.loads(text)
    table["grammars"][0]["name"] = "written"
    table["grammars"].insert(0, {"lark_grammar": 'start: " " @written'})
    return json.dumps(table)


def _check_names_no_token(source: str) -> None:
    """A grammar is of texts; a token is one of a vocabulary, and some write nothing."""
    if found := _TOKEN.search(_LARK_TEXT.sub(lambda match: " " * len(match[0]), source)):
        line = source.count("\n", 0, found.start()) + 1
        raise UsageError(
            f"Line {line} of the grammar names a token, {found[0]!r:.40}; write the text that is meant."
        )


def _check_size(source: object, name: str) -> None:
    if not isinstance(source, str):
        raise UsageError(f"{_first_up(name)} is a {type(source).__name__}; it must be a text.")
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"Character {error.start} of {name} is no text. Save it as UTF-8.") from None
    if size > MAX_SOURCE_BYTES:
        raise UsageError(f"{_first_up(name)} has {size:,} bytes; at most {MAX_SOURCE_BYTES:,} are taken.")


def _read_json(source: str, name: str) -> Any:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_JSON_STRING.sub("", source)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise UsageError(f"{_first_up(name)} is nested {deepest:,} deep; at most {MAX_DEPTH} are taken.")
    try:
        return json.loads(source)
    except ValueError as error:
        raise UsageError(f"{_first_up(name)} is no JSON: {error}.") from None


def _of_regex(source: str) -> str:
    """Here \\d is 0 to 9, as a reader expects; \\w and \\s are Unicode's."""
    return _of_lark(f"start: /{regex_to_lark(source, 'd')}/")


def _of_lark(source: str) -> str:
    return json.dumps({"grammars": [{"lark_grammar": source}]})


def _any_of(value: object) -> str:
    """A regular expression of these texts."""
    if not isinstance(value, list) or not value:
        raise UsageError('The choices are no list of texts; write them as ["one", "another"].')
    for place, choice in enumerate(value):
        if not isinstance(choice, str) or not choice:
            raise UsageError(
                f"Choice {place} is {choice!r:.40}; each must be a text of at least a character."
            )
        _check_size(choice, f"choice {place}")
    return "|".join(map(re.escape, dict.fromkeys(value)))


def _of_schema(value: object, source: str) -> str:
    if value is True:
        value, source = {}, "{}"
    if not isinstance(value, dict):
        raise UsageError(f"The JSON schema is {source!r:.40}; it must be an object, or true.")
    try:
        return LLMatcher.grammar_from_json_schema(source, defaults=_SPACES, overrides=_STRICT)
    except ValueError as error:
        raise UsageError(f"The JSON schema cannot be read: {error}.") from None


def _first_up(name: str) -> str:
    return name[0].upper() + name[1:]
