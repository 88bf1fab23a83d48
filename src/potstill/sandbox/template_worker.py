"""Renders Jinja templates that nobody vouches for. Runs in a worker only.

What a chat template finds is what transformers gives it: `raise_exception`, `strftime_now`, `tojson` without
HTML's escapes, blocks that take their line with them, loop controls and `{% generation %}`.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from potstill.sandbox.limits import SandboxLimits
from potstill.sandbox.worker import serve

# Of no use to a prompt, and objects with attributes to walk along.
_LEFT_OUT = ("lipsum", "cycler", "joiner")
_MAX_MESSAGE_CHARS = 300
# Modules and codecs that are read at their first use, which must come while files can still be opened.
_FIRST_USES = (
    "{{ 'é' | wordwrap(1) ~ 1 | pprint ~ [1] | random ~ 1 | tojson(indent=1) ~ strftime_now('%c %Z') }}",
    "{{ none.missing }}",
    # Python puts names that are not ASCII into a normal form.
    "{% set é = 1 %}{{ é }}",
    "{{ 'a' | urlize ~ '<b>' | striptags ~ 'b' | urlencode ~ 'c' | title ~ 1.5 | round(1) }}",
    "{% broken",
)


class Refusal(TemplateError):
    """What a template raised with its own words."""


class OutputTooLong(Exception):
    pass


class GenerationBlocks(Extension):
    """`{% generation %}` marks what a model wrote, for training; here it only groups."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class GuardedNamespace(Namespace):
    """A template's own variables; names that begin as Python's internal ones do are refused."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        # `self` is a name that a template may give, too.
        values = dict(*args[1:], **kwargs)
        for name in values:
            _check_name(name)
        Namespace.__init__(args[0], values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


class DictMaker:
    """`dict(…)` without the type itself."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)


class Renderer:
    """One template is kept compiled, the last."""

    def __init__(self, limits: SandboxLimits) -> None:
        self._limits = limits
        self._environment = _environment()
        self._compiled = lru_cache(maxsize=1)(self._environment.from_string)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The `texts` of all `variables`, or the kind of `error` with a `message`."""
        try:
            self._environment.globals["strftime_now"] = _clock(request["now"])
            template = self._compiled(request["template"])
            return {"texts": [self._text(template, one) for one in request["variables"]]}
        except MemoryError:
            return _failure("limit", f"it needs more than {self._limits.memory_bytes >> 20} MiB")
        except RecursionError:
            return _failure("limit", "it is nested too deep")
        except OutputTooLong:
            return _failure("limit", f"it writes more than {self._limits.output_chars:,} characters")
        except OverflowError as error:
            return _failure("limit", str(error))
        except SecurityError as error:
            return _failure("forbidden", f"it reaches for what it must not have: {error}")
        except Refusal as error:
            return _failure("refusal", str(error))
        except BaseException as error:
            return _failure("broken", f"{type(error).__name__}: {error}")

    def _text(self, template: Template, variables: Mapping[str, Any]) -> str:
        pieces, num_chars = [], 0
        for piece in template.generate(**variables):
            # Half a character is none, and is told here, where it is the template's fault.
            piece.encode()
            num_chars += len(piece)
            if num_chars > self._limits.output_chars:
                raise OutputTooLong
            pieces.append(piece)
        return "".join(pieces)


def main(limits: SandboxLimits) -> None:
    renderer = Renderer(limits)
    for template in _FIRST_USES:
        renderer.answer({"template": template, "variables": [{}], "now": None})
    serve(renderer.answer, limits)


def _environment() -> ImmutableSandboxedEnvironment:
    extensions: list[type[Extension]] = [GenerationBlocks, loopcontrols]
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=extensions, cache_size=0
    )
    for name in _LEFT_OUT:
        del environment.globals[name]
    environment.filters["tojson"] = _to_json
    environment.globals.update(raise_exception=_refuse, dict=DictMaker(), namespace=GuardedNamespace)
    return environment


def _failure(kind: str, message: str) -> dict[str, Any]:
    # Without what UTF-8 cannot say, such as half a surrogate pair.
    return {"error": kind, "message": message[:_MAX_MESSAGE_CHARS].encode(errors="replace").decode()}


def _refuse(message: object) -> None:
    raise Refusal(str(message))


def _clock(now: str | None) -> Any:
    def strftime_now(form: str) -> str:
        return (datetime.fromisoformat(now) if now else datetime.now()).strftime(form)

    return strftime_now


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace takes no name such as {name!r:.40}")
