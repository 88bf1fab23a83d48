"""What a written text must be like: a grammar, and phrases that it holds or avoids."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from potstill.errors import UsageError
from potstill.types import Clauses, Grammar, Phrase, SamplingParams, TextRequest

_GRAMMARS = ("grammar", "regex", "json_schema", "choices")
_PHRASES = ("contains", "avoids")
STEERING_ARGUMENTS = (*_GRAMMARS, *_PHRASES)


class Unmet(UserWarning):
    """A text that was shown as it was written does not meet its grammar or phrases."""


class Steering(NamedTuple):
    grammar: Grammar | None = None
    clauses: Clauses = ()

    def request(self, prompt: str, sampling: SamplingParams, *, goes_on: bool) -> TextRequest:
        """`goes_on` is whether a text goes on from its prompt, as a decoder's does.

        A choice then comes after a space where the prompt ends with none: words written into one another are
        what a model has hardly seen, and it would choose by that.
        """
        grammar = self.grammar
        if grammar is not None and grammar.kind == "choices" and goes_on and not prompt[-1:].isspace():
            grammar = Grammar("choices", json.dumps([f" {one.lstrip()}" for one in _choices(grammar)]))
        return TextRequest(prompt, sampling, grammar=grammar, clauses=self.clauses)


def steering_of(arguments: Mapping[str, Any]) -> Steering:
    """UsageError for more than one grammar, and for what is none.

    grammar      a `Grammar`, or the text of one in the language of llguidance (Lark)
    regex        a regular expression that the whole text matches
    json_schema  a JSON schema, as a dict or as JSON
    choices      texts of which one is written
    contains     phrases that the text holds; of a list in the list one will do
    avoids       phrases that it does not hold
    """
    given = [name for name in _GRAMMARS if arguments.get(name) is not None]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} both say what a text must look like. Drop one of them.")
    grammar = _grammar(given[0], arguments[given[0]]) if given else None
    wanted = [tuple(map(Phrase, _alternatives(one))) for one in _list("contains", arguments)]
    banned = [(Phrase(text, is_wanted=False),) for one in _list("avoids", arguments) for text in _texts(one)]
    clauses = (*wanted, *banned)
    if clauses and (arguments.get("do_sample") or arguments.get("temperature")):
        raise UsageError("contains and avoids are searched for, and drawing is no search. Drop one of them.")
    return Steering(grammar, clauses)


def _grammar(name: str, value: object) -> Grammar:
    if name == "grammar" and isinstance(value, Grammar):
        return value
    if name == "choices":
        return Grammar("choices", json.dumps(list(_checked_choices(value))))
    if name == "json_schema":
        return Grammar("json_schema", value if isinstance(value, str) else json.dumps(value))
    if not isinstance(value, str):
        raise UsageError(f"{name} is {value!r}; it must be a text.")
    return Grammar("lark" if name == "grammar" else "regex", value)


def _choices(grammar: Grammar) -> Sequence[str]:
    """Of a grammar that the caller made."""
    try:
        return _checked_choices(json.loads(grammar.source))
    except (TypeError, ValueError, RecursionError):
        raise UsageError(f"The choices {grammar.source!r:.40} are no JSON list of texts.") from None


def _checked_choices(value: object) -> Sequence[str]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise UsageError(f"choices is {value!r}; it must be a list of texts.")
    if not all(isinstance(one, str) and one.strip() for one in value):
        raise UsageError(f"choices is {value!r}; each must be a text with a word in it.")
    return value


def _list(name: str, arguments: Mapping[str, Any]) -> Sequence[object]:
    value = arguments.get(name)
    if isinstance(value, str):
        return [value]
    if value is not None and not isinstance(value, list | tuple):
        raise UsageError(f"{name} is {value!r}; it must be a list of texts.")
    return value or ()


def _alternatives(one: object) -> list[str]:
    return [text for each in (one if isinstance(one, list | tuple) else [one]) for text in _texts(each)]


def _texts(one: object) -> list[str]:
    if not isinstance(one, str) or not one.strip():
        raise UsageError(f"{one!r} is no phrase; contains and avoids take texts with a word in them.")
    return [one]
