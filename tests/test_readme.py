"""The README: one sentence, the session, the rooms, the figures, six files, the licence; all of it there."""

import re

from pages import Page, command_problem
from potstill.corpus.sentences import split_sentences
from source_tree import PACKAGE, ROOT

README = Page(ROOT / "README.md")


def section(title: str) -> str:
    (found,) = [part for part in README.text.split("\n## ") if part.startswith(title)]
    return found


def linked_paths(text: str) -> list[str]:
    return [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]


def test_it_opens_with_one_sentence() -> None:
    title, opening, *_ = README.text.split("\n\n")
    assert title == "# potstill"
    assert len(split_sentences(opening)) == 1


def test_every_path_exists() -> None:
    paths = linked_paths(README.text)
    assert len(paths) > 60
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_every_path_is_shown_as_it_is() -> None:
    """What stands in the brackets of a link to a file is the end of its path."""
    shown = re.findall(r"\[([\w./-]+\.\w+)\]\(([^)#]+)", README.text)
    assert shown and not [(text, path) for text, path in shown if not path.endswith(text)]


def test_every_command_exists() -> None:
    commands = list(README.commands("potstill"))
    assert ["doctor"] in commands and len(commands) >= 4
    assert not [words for words in commands if command_problem(words)]


def test_the_session_and_the_figures_have_their_places() -> None:
    marks = [f"<!-- {name}:{end} -->" for name in ("session", "figures") for end in ("begin", "end")]
    places = [README.text.find(mark) for mark in marks]
    assert places == sorted(places) and places[0] > 0
    session = README.text[places[0] : places[1]]
    assert "$ make demo" in session and "$ potstill generate runs/" in session


def test_every_room_of_the_house_is_in_the_table() -> None:
    paths = {ROOT / path for path in linked_paths(section("I want to"))}
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    missing = [room.name for room in rooms if not any(room in path.parents for path in paths)]
    modules = [path for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    missing += [path.name for path in modules if path not in paths]
    assert set(missing) <= {"types.py"}, "say in README where to change these"


def test_six_files_to_read_first() -> None:
    told = section("Six files to read first")
    lines = re.findall(r"^\d\. \[([^\]]+)\]\(([^)]+)\): (.+)$", told, re.MULTILINE)
    assert len(lines) == 6
    assert all(text == path and (ROOT / path).is_file() for text, path, _ in lines)


def test_torch_is_installed_by_the_version_that_is_pinned() -> None:
    (pinned,) = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert set(re.findall(r"torch==([\d.]+)", README.text)) == {pinned}


def test_the_terms_of_weights_made_from_gemma_are_named() -> None:
    told = section("Licence")
    assert "Apache" in told and "https://ai.google.dev/gemma/terms" in told
