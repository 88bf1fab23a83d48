"""Grammars of every kind, with what checks a text by other means than llguidance."""

import json
import re
from collections.abc import Callable
from typing import NamedTuple

import jsonschema

from potstill.types import Grammar


class Case(NamedTuple):
    grammar: Grammar
    accepts: Callable[[str], bool]


REGEXES = [
    "abc",
    "a|b|cd",
    "(a|b)+c?",
    "[a-f]{2,5}",
    "[^a-z\\n]{1,3}",
    r"\d{3}-\d{4}",
    r"(red|green|blue)(, (red|green|blue)){0,3}",
    r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,2})?",
    r"[A-Z][a-z]{0,6} [A-Z][a-z]{0,6}",
    r"(?i:yes|no)",
    "x*y{2}z?",
    r"(\(\)){1,4}",
    r"[A-Za-z_]{1,6}@[\d\-]{1,6}\.(com|org)",
    "é+ü",
    "日本(語|人)?",
    r"[\u00e0-\u00ff]{1,4}",
    r"#[0-9a-fA-F]{6}",
    r"(0[1-9]|1[0-2])/(0[1-9]|[12][0-9]|3[01])",
    "a{0,3}b{0,3}",
    r"(a(b(c(d)?)?)?)?e",
    r"[ \t]*end",
    "^anchored$",
    r"a\nb",
    r'"[^"\\]{0,8}"',
]

SCHEMAS = [
    {"type": "string", "maxLength": 8},
    {"type": "string", "minLength": 2, "maxLength": 4},
    {"type": "string", "pattern": "^[a-c]{2,4}$"},
    {"type": "string", "enum": ["a", "b c", 'd"e', "é\\n"]},
    {"type": "integer", "minimum": 0, "maximum": 9},
    {"type": "integer", "minimum": -50, "maximum": 1234},
    {"type": "integer", "minimum": 3, "maximum": 99, "multipleOf": 3},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "exclusiveMinimum": 2.5, "exclusiveMaximum": 7},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["boolean", "null"]},
    {"const": {"a": [1, None, "x"]}},
    {"enum": [1, "one", [1], {"one": 1}, None, True]},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": False, "minItems": 2},
    {"type": "object", "properties": {}, "additionalProperties": False},
    {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "null"}},
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 6},
            "age": {"type": "integer", "maximum": 150},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "additionalProperties": {"type": "boolean"},
        "patternProperties": {"^n": {"type": "null"}},
    },
    {"anyOf": [{"type": "boolean"}, {"type": "string", "maxLength": 2}]},
    {"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": 5}]},
    {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 7}]},
    {"$ref": "#/$defs/x", "$defs": {"x": {"type": "array", "items": {"type": "null"}, "maxItems": 2}}},
    {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"left": {"$ref": "#/$defs/node"}, "value": {"enum": [1, 2]}},
                "required": ["value"],
                "additionalProperties": False,
            }
        },
    },
    {"type": "string", "format": "date"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "ipv4"},
    {
        "type": "object",
        "properties": {
            "kind": {"const": "point"},
            "at": {
                "type": "array",
                "prefixItems": [{"type": "integer", "minimum": 0, "maximum": 99}] * 2,
                "items": False,
                "minItems": 2,
            },
        },
        "required": ["kind", "at"],
        "additionalProperties": False,
    },
    {"title": "a title", "description": "is no rule", "default": 1, "type": "boolean", "unknown word": 5},
]

LARKS = [
    ('start: "a" "b"? "c"*', "ab?c*"),
    ('start: WORD (SEP WORD)*\nWORD: /[a-z]{1,4}/\nSEP: ", "', "[a-z]{1,4}(, [a-z]{1,4})*"),
    ('start: pair+\npair: "(" pair* ")"', None),
    ('start: sum\nsum: NUM (SIGN NUM)*\nNUM: /[0-9]{1,2}/\nSIGN: " + " | " - "', "\\d{1,2}( [+-] \\d{1,2})*"),
    ('start: "x"{2,4} y\ny: "y" | "z"', "x{2,4}[yz]"),
    ('start: expr\nexpr: expr "+" /[0-9]/ | /[0-9]/', "[0-9](\\+[0-9])*"),
    ('%import common.INT\nstart: INT "."', "[0-9]+\\."),
    ('start: item\nitem: "[" item "]" | "é"', None),
]

CHOICES = [
    ["positive", "negative", "neutral"],
    ["a", "ab", "abc", "b"],
    ["one.two", "a|b", "(x)", "[y]*", "^$", "a\\b", "/", '"', "tab\tnew\nline", " led by a space", "#&~-"],
    ["東京", "京都", "naïve", "🙂🙃"],
    [f"item {number}" for number in range(300)],
]


def cases() -> list[Case]:
    return [
        *(Case(Grammar("regex", source), _matches(source)) for source in REGEXES),
        *(Case(Grammar("json_schema", json.dumps(schema)), _is_valid(schema)) for schema in SCHEMAS),
        *(Case(Grammar("lark", source), _matches(same) if same else _is_balanced) for source, same in LARKS),
        *(Case(Grammar("choices", json.dumps(texts)), texts.__contains__) for texts in CHOICES),
    ]


def _matches(source: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(source, text) is not None


def _is_valid(schema: object) -> Callable[[str], bool]:
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )

    def accepts(text: str) -> bool:
        return bool(validator.is_valid(json.loads(text)))

    return accepts


def _is_balanced(text: str) -> bool:
    """Whether brackets close what they open, around nothing or one letter."""
    before = ""
    while before != text:
        before, text = text, text.replace("()", "").replace("[é]", "é")
    return text in ("", "é")
