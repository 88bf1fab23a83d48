"""The space that some tokenizers put before the first word of a text, and how to do without it."""

from typing import Any


def without_prefix(step: dict[str, Any] | None) -> dict[str, Any] | None:
    """A normalizer or pre-tokenizer, as tokenizer.json spells it, that puts nothing before the text.

    None where nothing is left to do.
    """
    if step is None or step["type"] == "Prepend":
        return None
    if step["type"] == "Sequence":
        name = "normalizers" if "normalizers" in step else "pretokenizers"
        parts = [part for part in map(without_prefix, step[name]) if part is not None]
        return {**step, name: parts}
    if step["type"] == "Metaspace":
        return {**step, "prepend_scheme": "never"}
    if step["type"] == "ByteLevel" and "add_prefix_space" in step:
        return {**step, "add_prefix_space": False}
    return step


def is_put_once(step: dict[str, Any]) -> bool:
    """Whether a pre-tokenizer puts its space before a whole text only, and not behind control tokens."""
    if step["type"] == "Sequence":
        return any(map(is_put_once, step["pretokenizers"]))
    return bool(step["type"] == "Metaspace" and step.get("prepend_scheme") == "first")
