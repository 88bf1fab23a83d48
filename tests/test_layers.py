"""A folder imports only from lower rows: every import counts, in functions and for type checkers too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import PACKAGE, files_under, package_modules

# The table of ARCHITECTURE.md. Row 0 has an order of its own: `errors`, then `files`, then the others.
_NAMES_BY_ROW: dict[float, str] = {
    11: "__main__",
    10: "cli",
    9: "studio",
    8: "serving",
    7: "runs",
    6: "synthesis training evaluation pipelines agents",
    5: "engine",
    4: "lm",
    3: "index models tasks",
    2: "corpus layers constraints",
    1: "tokenization records hub remote executors meters peaks sandbox metrics charts",
    0.2: "types locks journal progress devices seeds settings gguf_header",
    0.1: "files",
    0.0: "errors _native",
}
ROW = {name: row for row, names in _NAMES_BY_ROW.items() for name in names.split()}
# Oracles and rivals serve tests and benchmarks only; the others run what a file or a user holds.
NEVER_IMPORTED = {"transformers", "peft", "llama_cpp", "trl", "pickle", "shelve", "dill", "cloudpickle"}
NEVER_CALLED = {"eval", "exec", "torch.load", "torch.save", "os.system", "os.popen"}


def unit_of(path: Path, package: Path) -> str:
    """The folder, or the module, that stands directly in the package."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of each import; `from a import b` gives `a.b`, a relative one begins with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called_name(node).split(".")[-1] in (
            "import_module",
            "__import__",
        ):
            yield from ((node.lineno, text) for text in _leading_text(node))


def _called_name(node: ast.Call) -> str:
    return ast.unparse(node.func)


def _leading_text(node: ast.Call) -> Iterator[str]:
    argument = node.args[0] if node.args else None
    if isinstance(argument, ast.JoinedStr) and argument.values:
        argument = argument.values[0]  # type: ignore[assignment]
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value


def offences(tree: ast.AST, unit: str) -> Iterator[str]:
    """What is wrong with a module's imports, each with its line."""
    if unit not in ROW:
        yield f"1: {unit} has no row; place it in ARCHITECTURE.md and in this test"
        return
    for line, module in imported_modules(tree):
        parts = module.split(".")
        if parts[0] == "":
            yield f"{line}: a relative import; write `from potstill.x.y import z`"
        elif parts[0] != "potstill" or parts[1:2] == [unit]:
            continue
        elif module == "potstill.__version__":
            # The one fact that stands in the package itself; it is loaded by then anyway.
            continue
        elif len(parts) == 1 or parts[1] not in ROW:
            yield f"{line}: {module} is imported from the package itself, or has no row"
        elif ROW[parts[1]] >= ROW[unit]:
            yield f"{line}: {unit} (row {ROW[unit]:g}) imports {parts[1]} (row {ROW[parts[1]]:g})"


def test_imports_point_to_lower_rows_only():
    found = [
        f"{path.relative_to(PACKAGE)}:{offence}"
        for path, tree in package_modules()
        if path != PACKAGE / "__init__.py"
        for offence in offences(tree, unit_of(path, PACKAGE))
    ]
    assert not found, "\n".join(found)


def test_every_folder_has_a_row():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert not folders - ROW.keys(), "place these in ARCHITECTURE.md and in this test"


@pytest.mark.parametrize(
    ("unit", "source"),
    [
        ("corpus", "from potstill.layers.rope import apply_rope"),
        ("corpus", "import potstill.engine.engine"),
        ("metrics", "def f():\n    from potstill.corpus.sentences import split_sentences"),
        (
            "lm",
            "if TYPE_CHECKING:\n    from potstill.engine.params import EngineParams",
        ),
        ("seeds", "from potstill.types import Generator"),
        ("errors", "from potstill.files import writing"),
        ("cli", "from potstill import PotstillError"),
        ("cli", "import potstill"),
        ("cli", "from . import main"),
        ("cli", "from potstill.helpers.text import shorten"),
        ("runs", "import_module(f'potstill.cli.{name}')"),
        ("runs", "importlib.import_module('potstill.studio')"),
        ("helpers", "import json"),
    ],
)
def test_a_wrong_import_is_found(unit, source):
    assert list(offences(ast.parse(source), unit))


@pytest.mark.parametrize(
    ("unit", "source"),
    [
        ("corpus", "from potstill.corpus.sentences import split_sentences"),
        ("corpus", "from potstill.records.read import read_records\nimport re, numpy"),
        ("journal", "from potstill.files import write_bytes"),
        ("layers", "from potstill import _native"),
        ("cli", "from potstill import __version__"),
        ("cli", "def f():\n    from potstill.runs.execute import execute"),
    ],
)
def test_a_right_import_is_let_through(unit, source):
    assert not list(offences(ast.parse(source), unit))


def test_a_folder_says_what_it_is_in_one_line_and_nothing_else():
    found = []
    for path in PACKAGE.rglob("*/__init__.py"):
        tree = ast.parse(path.read_text())
        is_one_docstring = len(tree.body) == 1 and ast.get_docstring(tree) is not None
        if not is_one_docstring or len(path.read_text().splitlines()) != 1:
            found.append(str(path.relative_to(PACKAGE)))
    assert not found


def test_nothing_unpickles_evaluates_or_leans_on_an_oracle():
    found = []
    for path, tree in package_modules():
        where = path.relative_to(PACKAGE)
        found += [
            f"{where}:{line}: {name}"
            for line, name in imported_modules(tree)
            if name.split(".")[0] in NEVER_IMPORTED
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                opens_shell = any(word.arg == "shell" for word in node.keywords)
                if _called_name(node) in NEVER_CALLED or opens_shell:
                    found.append(f"{where}:{node.lineno}: {_called_name(node)}")
    assert not found, "\n".join(found)


def test_every_file_of_the_package_is_looked_at():
    assert len(package_modules()) == len(files_under("src/potstill", suffixes=(".py",))) > 10
