"""The names of the package: complete, in order, and lazy."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest

import potstill
from source_tree import PACKAGE, ROOT

HEAVY = ("torch", "numpy", "pyarrow", "rich", "typer", "tokenizers", "huggingface_hub", "zstandard", "nltk")


def test_every_public_name_can_be_imported_and_is_what_its_module_defines():
    for name in potstill.__all__:
        value = getattr(potstill, name)
        if name != "__version__":
            assert getattr(import_module(value.__module__), name) is value


def test_public_names_are_listed_once_in_order_and_dir_shows_them():
    assert dir(potstill) == sorted(potstill.__all__)
    assert len(set(potstill.__all__)) == len(potstill.__all__)
    assert list(potstill.__all__) == sorted(potstill.__all__)


def test_type_checkers_see_every_public_name():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    declared = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("potstill.")
        for alias in node.names
    }
    assert declared == set(potstill.__all__) - {"__version__"}
    assert (PACKAGE / "py.typed").exists()


def test_a_name_that_does_not_exist_is_named():
    with pytest.raises(AttributeError, match="potstill has no 'Distiller'"):
        _ = potstill.Distiller


def test_the_version_stands_in_pyproject_too():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert potstill.__version__ == project["version"]


def test_importing_the_package_imports_nothing_heavy():
    script = f"import potstill, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
