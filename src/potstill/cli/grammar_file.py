"""What `--grammar` names: a file whose suffix says what it holds."""

from pathlib import Path

from potstill.constraints.compile import check_grammar
from potstill.constraints.limits import MAX_SOURCE_BYTES
from potstill.errors import UsageError
from potstill.types import Grammar


def read_grammar(path: Path) -> Grammar:
    """UsageError where it cannot be read or used, told before a model is looked for."""
    suffix = path.suffix.lower()
    if suffix not in (".json", ".lark", ".regex", ".txt"):
        raise UsageError(
            f"{path} is no grammar by its name: .json holds a JSON schema or a list of choices, .lark a "
            f"grammar, .regex or .txt a regular expression."
        )
    source = _text(path)
    if suffix == ".json":
        grammar = Grammar("choices" if _is_list(source) else "json_schema", source)
    elif suffix == ".lark":
        grammar = Grammar("lark", source)
    else:
        # Editors end a file with a line.
        grammar = Grammar("regex", source.removesuffix("\n").removesuffix("\r"))
    try:
        check_grammar(grammar)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return grammar


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_SOURCE_BYTES:
            raise UsageError(f"{path} has more than {MAX_SOURCE_BYTES:,} bytes; no grammar is that large.")
        # Some editors begin a file with a mark that is no part of its text.
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start}).") from None


def _is_list(source: str) -> bool:
    return source.lstrip(" \t\r\n").startswith("[")
