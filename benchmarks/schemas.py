"""JSON schemas of growing size for bench_constraints.py: drawn, always the same, each with an end in sight.

Strings, numbers and lists are bounded, so that a text that obeys its schema ends within a known length.
"""

import random
from typing import Any

SEED = 20_266
_NAMES = (
    *("id", "name", "title", "city", "country", "price", "stock", "colour", "weight", "rating", "author"),
    *("year", "month", "status", "owner", "kind", "level", "source", "target", "label", "note", "unit"),
    *("amount", "total", "currency", "email", "phone", "street", "code", "version"),
)
_WORDS = (
    "red",
    "green",
    "blue",
    "small",
    "large",
    "open",
    "closed",
    "active",
    "draft",
    "final",
    "north",
    "south",
)


def draw(count: int) -> list[dict[str, Any]]:
    """Schema i has about 1 + i / 10 fields, nested up to three deep in the larger ones."""
    rng = random.Random(SEED)
    return [_object(rng, 1 + index // 10, depth=min(index // 40, 3)) for index in range(count)]


def num_fields(schema: dict[str, Any]) -> int:
    """Fields of objects, at every depth."""
    properties = schema.get("properties", {})
    inner = [*properties.values(), *schema.get("anyOf", [])] + (
        [schema["items"]] if "items" in schema else []
    )
    return len(properties) + sum(map(num_fields, inner))


def _object(rng: random.Random, num_fields: int, depth: int) -> dict[str, Any]:
    names = rng.sample(_NAMES, min(num_fields, len(_NAMES)))
    properties: dict[str, Any] = {}
    left = num_fields
    while left > 0 and names:
        if depth and left > 3 and rng.random() < 0.3:
            size = rng.randint(2, left - 1)
            properties[names.pop()] = _object(rng, size, depth - 1)
            left -= size
        else:
            properties[names.pop()] = _value(rng, depth)
            left -= 1
    required = [name for name in properties if rng.random() < 0.8]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _value(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.randrange(9 if depth else 8)
    if kind < 2:
        return {"type": "string", "minLength": 1, "maxLength": rng.randint(4, 24)}
    if kind == 2:
        return {"type": "string", "enum": rng.sample(_WORDS, rng.randint(2, 6))}
    if kind == 3:
        low = rng.randrange(100)
        return {"type": "integer", "minimum": low, "maximum": low + rng.randint(1, 10_000)}
    if kind == 4:
        return {"type": "boolean"}
    if kind == 5:
        return {"type": "string", "pattern": f"^[A-Z]{{{rng.randint(1, 3)}}}-[0-9]{{{rng.randint(1, 5)}}}$"}
    if kind == 6:
        return {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": 99}]}
    if kind == 7:
        return {"const": rng.choice(_WORDS)}
    return {"type": "array", "items": _value(rng, 0), "minItems": 1, "maxItems": rng.randint(1, 4)}
