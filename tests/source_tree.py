"""What the tests about the source tree itself share: its files, parsed, and their functions."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "potstill"
_NOT_OURS = {"__pycache__", "build", ".hypothesis"}


def files_under(*folders: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of these folders of the repository, in order; built ones left out."""
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and not _NOT_OURS & set(path.relative_to(ROOT).parts)
    )


def package_modules() -> list[tuple[Path, ast.Module]]:
    return [
        (path, ast.parse(path.read_text(), path)) for path in files_under("src/potstill", suffixes=(".py",))
    ]


class Function(NamedTuple):
    path: Path
    name: str
    num_lines: int

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}::{self.name} ({self.num_lines} lines)"


def python_functions(path: Path) -> Iterator[Function]:
    """Every function, methods and inner ones too, named as `Class.method`; decorators are not counted."""

    def walk(node: ast.AST, prefix: str) -> Iterator[Function]:
        for child in ast.iter_child_nodes(node):
            name = f"{prefix}{getattr(child, 'name', '')}"
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                assert child.end_lineno is not None
                yield Function(path, name, child.end_lineno - child.lineno + 1)
            is_scope = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from walk(child, f"{name}." if is_scope else prefix)

    yield from walk(ast.parse(path.read_text(), path), "")
