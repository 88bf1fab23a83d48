"""The documents say what is there: links, paths, commands, rows, dependencies, quoted code."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pages import Page, all_pages, command_problem
from source_tree import PACKAGE, ROOT, package_modules
from test_layers import ROW

PAGES = all_pages()
DOCS = ROOT / "docs"
ARCHITECTURE = Page(DOCS / "architecture.md")
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
_FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)+\.(?:py|pyi|md|toml|cpp|hpp|css|jsonl|txt)")
# Import names that differ from the name of the distribution.
_DISTRIBUTIONS = {"huggingface_hub": "huggingface-hub", "rouge_score": "rouge-score"}

every_page = pytest.mark.parametrize("page", PAGES, ids=str)


@every_page
def test_every_relative_link_resolves(page: Page) -> None:
    for link in page.links:
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path) if path else page.path
        assert target.exists(), f"{page} links to {link}, which does not exist"
        if anchor:
            assert anchor in Page(target).anchors, f"{page} links to {link}, where no such heading is"


@every_page
def test_every_file_that_is_named_exists(page: Page) -> None:
    """With a folder in its name; from the root, from the package, or beside the page."""
    named = [span for span in page.spans if _FILE.fullmatch(span)]
    homes = (ROOT, PACKAGE, page.path.parent)
    missing = [name for name in named if not any((home / name).exists() for home in homes)]
    assert not missing, f"{page} names {missing}"


@every_page
def test_every_potstill_command_exists_with_its_options(page: Page) -> None:
    for words in page.commands("potstill"):
        problem = command_problem(words)
        assert problem is None, f"{page}: potstill {' '.join(words)}: {problem}"


@every_page
def test_every_target_of_make_exists(page: Page) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in page.commands("make"):
        asked = [word for word in words if "=" not in word and word.isalpha()]
        assert set(asked) <= targets, f"{page}: make {' '.join(words)}"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["run", "resume", "NAME", "--redo", "STAGE"], None),
        (["generate", "MODEL", "run a mile", "--seed=3"], None),
        (["--version"], None),
        (["config", "show", "RECIPE", "--origin", "--help"], None),
        (["tune", "RECIPE"], "there is no command tune"),
        (["run", "rest"], "there is no command rest"),
        (["distill", "--executor", "ray"], "there is no option --executor"),
        (["doctor", "--task", "shorten"], "there is no option --task"),
    ],
)
def test_a_command_that_does_not_exist_is_found(words: list[str], problem: str | None) -> None:
    assert command_problem(words) == problem


def test_links_and_commands_of_a_page_are_found(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# One `two`, three\n[a](b.md#c) [`code`](d/e.py) [away](https://example.org) `potstill run list`\n"
        "```sh\n$ potstill generate m \\\n    'a b'  # why\nA=x .venv/bin/potstill doctor\nmake test\n```\n"
        "| a | b |\n|---|---|\n| `c` | d |\n"
    )
    page = Page(path)
    assert page.links == ["b.md#c", "d/e.py"]
    assert list(page.commands("potstill")) == [["generate", "m", "a b"], ["doctor"], ["run", "list"]]
    assert list(page.commands("make")) == [["test"]]
    assert page.anchors == {"one-two-three"}
    assert list(page.rows(2)) == [["`c`", "d"]]


def test_quoted_code_stands_in_the_file_it_names() -> None:
    """A block of Python that begins with a comment of a path is a quotation of that file."""
    quoted = 0
    for page in PAGES:
        for block in page.blocks:
            first, _, rest = block.text.partition("\n")
            path = ROOT / first.removeprefix("# ").strip()
            if block.language == "python" and first.startswith("# ") and path.is_file():
                assert rest in path.read_text("utf-8"), f"{page}: {path.name} does not hold what is quoted"
                quoted += 1
    assert quoted >= 3


def test_decisions_have_numbers_of_their_own_and_a_date() -> None:
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name) for path in DECISIONS)
    numbers = [path.name[:4] for path in DECISIONS]
    assert len(set(numbers)) == len(numbers), numbers
    undated = [
        path.name
        for path in DECISIONS
        if not re.match(r"# .+\(\d{1,2} [A-Z][a-z]+ 20\d\d\)\n", path.read_text("utf-8"))
    ]
    assert not undated, f"{undated}: a decision begins with `# What was decided (1 January 2027)`"


def test_every_page_has_its_line_in_the_list_of_pages() -> None:
    listed = {(DOCS / link).resolve() for link in Page(DOCS / "README.md").links}
    missing = [page for page in PAGES if DOCS in page.path.parents and page.path not in listed]
    assert {str(page) for page in missing} <= {"docs/README.md"}, "add a line to docs/README.md"


def test_the_architecture_gives_every_unit_the_row_that_is_enforced() -> None:
    told = {
        name: int(row)
        for row, units, _ in ARCHITECTURE.rows(3)
        if row.isdecimal()
        for name in re.findall(r"`(\w+)`", units)
    }
    paths = [path for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"]
    units = {path.stem for path in paths} - {"__init__", "__pycache__"} | {"_native"}
    assert told == {name: int(ROW[name]) for name in units}


def test_what_is_not_built_yet_is_not_there() -> None:
    planned = {name: int(row) for row, name, _ in ARCHITECTURE.rows(3) if row.isdecimal() and "`" not in name}
    built = {path.stem for path in PACKAGE.iterdir()} | {"_native"}
    assert planned == {name: int(ROW[name]) for name in ROW.keys() - built}


def test_every_dependency_has_its_reason() -> None:
    page = Page(DOCS / "decisions" / "0001-dependencies.md")
    told = {span for row in [*page.rows(3), *page.rows(2)] for span in re.findall(r"`([\w-]+)`", row[0])}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"].values()
    declared = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *sum(project["project"]["optional-dependencies"].values(), []),
        *(item for group in groups for item in group if isinstance(item, str)),
    ]
    names = {Requirement(text).name for text in declared}
    assert names <= told, f"without a reason: {names - told}"
    extras = set(project["project"]["optional-dependencies"])
    assert told <= names | extras, f"no dependency any more: {told - names - extras}"


def test_everything_the_package_imports_is_told() -> None:
    told = set(Page(DOCS / "decisions" / "0001-dependencies.md").spans)
    imported = {
        name.split(".")[0]
        for _, tree in package_modules()
        for node in ast.walk(tree)
        for name in _imported(node)
    }
    foreign = imported - sys.stdlib_module_names - {"potstill"}
    assert not {_DISTRIBUTIONS.get(name, name) for name in foreign} - told


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
