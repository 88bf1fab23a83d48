"""Settings are frozen dataclasses, and this is the way between them and TOML tables.

Fields may be bool, int, float, str, Path, a Literal, `X | None`, `tuple[X, ...]`, `dict[str, X]` or another
dataclass. Ranges are checked where they are stated, in a class's `__post_init__`.
"""

import difflib
import textwrap
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from potstill.errors import ConfigError

_Settings = TypeVar("_Settings")


def from_table(cls: type[_Settings], table: Mapping[str, Any], where: str = "") -> _Settings:
    """A `cls` from a TOML table, such as a whole file.

    A ConfigError begins with `where` (the file, say) and names the table, the key and the nearest known key.
    """
    try:
        return _read_table(cls, table, "")
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None


def to_table(settings: Any) -> dict[str, Any]:
    """Plain values (dict, list, str, number, bool, None), equal for equal settings; from_table reads them."""
    return {field.name: _plain(getattr(settings, field.name)) for field in settings_fields(type(settings))}


def schema(cls: type) -> dict[str, Any]:
    """JSON Schema (2020-12) of the table that `from_table` reads, described by the class docstrings."""
    hints, told = field_types(cls), descriptions(cls)
    properties = {}
    for field in settings_fields(cls):
        properties[field.name] = _schema_of(hints[field.name])
        if field.name in told:
            properties[field.name]["description"] = told[field.name]
        default = _default_of(field)
        if default is not MISSING and default is not None and not is_dataclass(default):
            properties[field.name]["default"] = _plain(default)
    required = [field.name for field in settings_fields(cls) if _is_required(field)]
    result: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        result["required"] = required
    return result


def field_types(cls: type) -> dict[str, Any]:
    return {field.name: _hints(cls)[field.name] for field in settings_fields(cls)}


def settings_fields(cls: type) -> tuple[Field[Any], ...]:
    return tuple(field for field in fields(cls) if field.init)


def descriptions(cls: type) -> dict[str, str]:
    """What the class docstring says of each field: lines `name   text`, continued by indented lines."""
    names = {field.name for field in settings_fields(cls)}
    told: dict[str, str] = {}
    current = ""
    first_line, _, rest = (cls.__doc__ or "").partition("\n")
    for line in textwrap.dedent(rest).splitlines():
        name, _, text = line.partition(" ")
        if name in names:
            current = name
            told[name] = text.strip()
        elif current and line.startswith(" "):
            told[current] = f"{told[current]} {line.strip()}".strip()
        else:
            current = ""
    return told


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _read_table(cls: type[_Settings], table: Mapping[str, Any], path: str) -> _Settings:
    hints = field_types(cls)
    for key in table:
        if key not in hints:
            raise ConfigError(f"{_name_of(path)} has no {key!r}; {_nearest(key, list(hints))}")
    values = {key: _read(hints[key], value, _join(path, key)) for key, value in table.items()}
    absent = [field.name for field in settings_fields(cls) if _is_required(field) and field.name not in table]
    if absent:
        raise ConfigError(f"{_name_of(path)} needs {', '.join(absent)}.")
    try:
        return cls(**values)
    except ConfigError as error:
        # Some classes say themselves which table they are.
        named = not path or str(error).startswith("[")
        raise ConfigError(str(error) if named else f"[{path}] {error}") from None


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, where)
    if origin is Literal:
        if value not in arguments or type(value) not in {type(choice) for choice in arguments}:
            raise ConfigError(f"{where} is {value!r}; {_choices(value, arguments)}")
        return value
    if origin is tuple:
        items = _expect(value, (list, tuple), "a list", where)
        return tuple(_read(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(items))
    if origin is dict:
        pairs = _expect(value, (dict,), "a table", where)
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in pairs.items()}
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return _read_table(kind, _expect(value, (dict,), "a table", where), where)
    return _read_scalar(kind, value, where)


def _read_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path:
        return value if isinstance(value, Path) else Path(_expect(value, (str,), "a path in quotes", where))
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}
    assert kind in names, f"{where}: settings cannot hold {kind}"
    if kind is not bool and isinstance(value, bool):
        raise ConfigError(f"{where} is {_shown(value)}; it must be {names[kind]}.")
    return _expect(value, (kind,), names[kind], where)


def _read_union(kinds: Sequence[Any], value: Any, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not types.NoneType]
    problems = []
    for kind in rest:
        try:
            return _read(kind, value, where)
        except ConfigError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    raise ConfigError(f"{where} is {_shown(value)}; it must be {' or '.join(map(_kind_name, rest))}.")


def _expect(value: Any, kinds: tuple[type, ...], wanted: str, where: str) -> Any:
    if not isinstance(value, kinds):
        raise ConfigError(f"{where} is {_shown(value)}; it must be {wanted}.")
    return value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _choices(value: Any, choices: Sequence[Any]) -> str:
    near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"it must be one of {', '.join(map(repr, choices))}.{hint}"


def _nearest(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}It has {', '.join(known) or 'no keys'}." if hint else f"it has {', '.join(known)}."


def _name_of(path: str) -> str:
    return f"[{path}]" if path else "the top level"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default_of(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_table(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    assert value is None or isinstance(value, bool | int | float | str), f"{value!r} is no setting"
    return value


_SCALAR_SCHEMAS = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


def _schema_of(kind: Any) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        # TOML has no null: an optional key is one that may be left out.
        rest = [_schema_of(each) for each in arguments if each is not types.NoneType]
        return rest[0] if len(rest) == 1 else {"anyOf": rest}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1])}
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return schema(kind)
    return {"type": _SCALAR_SCHEMAS[kind]}


def _kind_name(kind: Any) -> str:
    schema_of = _schema_of(kind)
    if "enum" in schema_of:
        return f"one of {', '.join(map(repr, schema_of['enum']))}"
    return {"integer": "a whole number", "string": "a text", "boolean": "true or false"}.get(
        schema_of.get("type", ""), f"a {schema_of.get('type', 'table')}"
    )
