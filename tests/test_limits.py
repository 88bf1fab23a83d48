"""A file has at most 400 lines, a function at most 40; growing a limit needs a reason in the change."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import ROOT, Function, files_under, python_functions

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_LONG_FUNCTION_LINES = 60
# Forward passes and the scheduler, whose steps belong on one page.
LONG_FUNCTIONS: set[str] = set()

FOLDERS = ("src", "tests", "benchmarks", "native")
_OPENS_BLOCK = re.compile(r"^(?: {4})?(?!namespace|class|struct|enum|union|extern|\s|[}#/*])\S.*[^,;]$")
_NO_FUNCTION = re.compile(
    r"^\s*(?:namespace|class|struct|enum|union|extern|template\b.*>$|public:|private:|//|#|\*|\})"
)


def native_functions(path: Path) -> Iterator[Function]:
    """Blocks in braces that stand in a namespace or a class, as clang-format lays them out."""
    lines = path.read_text().splitlines()
    for indent in ("", "    "):
        start: int | None = None
        for number, line in enumerate(lines):
            stands_here = line.startswith(indent) and line[len(indent) : len(indent) + 1] not in ("", " ")
            if not stands_here:
                continue
            if line == f"{indent}}}" and start is not None:
                yield Function(path, lines[start].strip(), number - start + 1)
                start = None
            elif _NO_FUNCTION.match(line) or line.endswith(";"):
                start = None
            elif start is None or not line.startswith((f"{indent})", f"{indent}:")):
                start = number if "(" in line else None


def test_no_file_is_longer_than_400_lines():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in files_under(*FOLDERS, suffixes=(".py", ".cpp", ".hpp"))
    }
    found = [f"{path}: {length} lines" for path, length in lengths.items() if length > MAX_FILE_LINES]
    assert not found, "\n".join(found)


def test_no_function_is_longer_than_40_lines():
    functions = [
        *(
            function
            for path in files_under(*FOLDERS, suffixes=(".py",))
            for function in python_functions(path)
        ),
        *(
            function
            for path in files_under("native", suffixes=(".cpp", ".hpp"))
            for function in native_functions(path)
        ),
    ]
    found = [str(function) for function in functions if function.num_lines > _limit(function)]
    assert not found, "\n".join(found)


def _limit(function: Function) -> int:
    name = f"{function.path.relative_to(ROOT)}::{function.name}"
    return MAX_LONG_FUNCTION_LINES if name in LONG_FUNCTIONS else MAX_FUNCTION_LINES


def test_a_function_named_as_long_exists_and_needs_it():
    functions = {
        f"{path.relative_to(ROOT)}::{function.name}": function.num_lines
        for path in files_under("src", suffixes=(".py",))
        for function in python_functions(path)
    }
    assert not [name for name in LONG_FUNCTIONS if functions.get(name, 0) <= MAX_FUNCTION_LINES]


def test_python_functions_are_measured_with_inner_ones_and_methods(tmp_path):
    path = ROOT / "tests" / "source_tree.py"
    lengths = {function.name: function.num_lines for function in python_functions(path)}
    assert {"files_under", "Function.__str__", "python_functions", "python_functions.walk"} <= lengths.keys()
    assert lengths["Function.__str__"] == 2


@pytest.mark.parametrize("length", [3, 50])
def test_native_functions_are_measured(tmp_path, length):
    body = "        work();\n" * (length - 2)
    path = tmp_path / "sample.cpp"
    path.write_text(
        "#include <vector>\n\nnamespace potstill {\n\nclass Table {\n  public:\n"
        f"    int rows(int first,\n             int last) const {{\n{body}    }}\n\n    int size_;\n}};\n\n"
        f"template <typename T>\nint count(T value) {{\n{body}}}\n\n}}  // namespace potstill\n"
    )
    found = {function.name: function.num_lines for function in native_functions(path)}
    assert found == {"int count(T value) {": length, "int rows(int first,": length + 1}
