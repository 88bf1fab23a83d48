from pathlib import Path

from potstill import errors
from potstill.cli.reference import reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_commands_is_fresh() -> None:
    told = "Run: python -m potstill.cli.reference > docs/cli.md"
    assert (DOCS / "cli.md").read_text() == reference(), told


def test_the_page_of_errors_names_every_class_with_its_exit_code() -> None:
    page = (DOCS / "errors.md").read_text()
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, errors.PotstillError):
            assert f"| `{name}` | {error.exit_code} |" in page, name
