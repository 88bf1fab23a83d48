"""Task files, built-in and of the user's own, and the prompts made of them."""

from pathlib import Path

import pytest

from potstill.errors import ConfigError
from potstill.tasks.task import Limits, Shot, Task, builtin_task_names, load_task

OWN = """
name = "titles"
entails = "one_way"
instruction = "Each text gets a title."
source_label = "Text:"
target_label = "Title:"

[limits]
max_length_ratio = 0.5

[[shots]]
source = "The bridge was closed on Monday."
target_text = "Bridge closed"

[[shots]]
source = "The mayor opened a school."
target_text = "School opened"
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    return str(path)


def test_a_file_of_the_users_own_is_read_and_unnamed_limits_keep_their_defaults(tmp_path: Path) -> None:
    task = load_task(written(tmp_path, OWN))
    assert (task.name, task.entails, len(task.shots)) == ("titles", "one_way", 2)
    assert task.limits == Limits(max_length_ratio=0.5)
    assert task.shots[0] == Shot("The bridge was closed on Monday.", "Bridge closed")


def test_prompts_are_the_instruction_the_shots_and_the_source(tmp_path: Path) -> None:
    task = load_task(written(tmp_path, OWN))
    assert task.student_prompt("It rained.") == "Text: It rained.\nTitle:"
    assert task.plain_prompt("It rained.") == "Each text gets a title.\n\nText: It rained.\nTitle:"
    assert task.few_shot_prompt(task.shots[::-1], "It rained.") == (
        "Each text gets a title.\n\n"
        "Text: The mayor opened a school.\nTitle: School opened\n\n"
        "Text: The bridge was closed on Monday.\nTitle: Bridge closed\n\n"
        "Text: It rained.\nTitle:"
    )
    assert task.few_shot_prompt(task.shots, "x").startswith(task.few_shot_prefix(task.shots))


def test_braces_in_a_source_stay_as_they_are(tmp_path: Path) -> None:
    task = load_task(written(tmp_path, OWN))
    assert task.student_prompt("a {source} {0}") == "Text: a {source} {0}\nTitle:"


@pytest.mark.parametrize("name", builtin_task_names())
def test_a_built_in_task_has_enough_shots_for_different_prompts(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert len(task.shots) >= 6
    assert len({shot.source for shot in task.shots}) == len(task.shots)
    assert [pair.source for pair in task.shot_pairs()] == [shot.source for shot in task.shots]


def test_the_built_in_tasks_are_these() -> None:
    assert {"paraphrase", "shorten"} <= set(builtin_task_names())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('entails = "one_way"', 'entails = "oneway"', "Did you mean 'one_way'"),
        ('entails = "one_way"', "", "entails"),
        ("max_length_ratio", "max_lenght_ratio", "did you mean 'max_length_ratio'"),
        ("max_length_ratio = 0.5", "max_length_ratio = 0.1", "min_length_ratio is 0.15"),
        ("max_length_ratio = 0.5", "min_length_ratio = -0.1", "not negative"),
        ("max_length_ratio = 0.5", "min_words = 0", "min_words is 0"),
        ("max_length_ratio = 0.5", "max_copy = 1.1", "max_copy is 1.1"),
        ("max_length_ratio = 0.5", "max_copied_run = -0.1", "max_copied_run is -0.1"),
        ('"Bridge closed"', '""', "target_text is ''"),
        ('"Bridge closed"', '"Bridge\\nclosed"', "one line"),
        ('"Each text gets a title."', '" "', "empty instruction"),
        ('"Text:"', '"Te\\nxt:"', "label"),
        ('"Title:"', '""', "label"),
        ('name = "titles"', "name = titles", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_and_the_message_says_why(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in OWN
    with pytest.raises(ConfigError, match=said):
        load_task(written(tmp_path, OWN.replace(old, new)))


def test_a_task_needs_shots(tmp_path: Path) -> None:
    text = OWN[: OWN.index("[[shots]]")]
    with pytest.raises(ConfigError, match="needs shots"):
        load_task(written(tmp_path, text))
    with pytest.raises(ConfigError, match="no \\[\\[shots\\]\\]"):
        Task("t", "one_way", "Do.", "a", "b", Limits(), ())


def test_limits_at_their_bounds_are_fine() -> None:
    Limits(min_length_ratio=0, max_length_ratio=0.01, min_words=1, max_copy=0, max_copied_run=1)


def test_an_unknown_name_lists_the_built_in_ones() -> None:
    with pytest.raises(ConfigError, match="no task shrten.*shorten"):
        load_task("shrten")


def test_a_file_that_is_not_utf8_is_refused_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(OWN.encode() + b"# \xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_task(str(path))
