"""Writing TOML; the standard library only reads it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from potstill.errors import ConfigError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(table: Mapping[str, Any]) -> str:
    """TOML of plain values; keys whose value is None are left out, since TOML has no null."""
    return "".join(_lines(table, ())).lstrip("\n")


def toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    assert isinstance(value, list | tuple), f"{value!r} cannot be written as TOML"
    return "[" + ", ".join(map(toml_value, value)) + "]"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    values = {key: value for key, value in table.items() if value is not None}
    inner = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    lines = [f"\n[{'.'.join(map(_key, path))}]\n"] if path else []
    lines += [f"{_key(key)} = {toml_value(value)}\n" for key, value in values.items() if key not in inner]
    for key, value in inner.items():
        lines += _lines(value, (*path, key))
    return lines


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raw = text.encode(errors="surrogateescape")
        raise ConfigError(f"{raw!r} is not UTF-8, so a recipe cannot hold it. Rename it.") from None
    # JSON's escapes are TOML's, but TOML also wants DEL escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
