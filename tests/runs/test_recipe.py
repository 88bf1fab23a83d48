import tomllib
from pathlib import Path

import pytest

from potstill.errors import ConfigError, MissingError
from potstill.files import write_text
from potstill.runs.recipe import (
    Recipe,
    override,
    parse_override,
    read_recipe,
    recipe_from,
    recipe_text,
    run_folder_of,
)
from potstill.runs.toml import toml_text


def write_recipe(folder: Path, text: str) -> Path:
    path = folder / "short.toml"
    write_text(path, text)
    return path


def test_a_recipe_is_named_by_its_file_and_its_paths_start_there(tmp_path: Path) -> None:
    (tmp_path / "task.toml").touch()
    path = write_recipe(
        tmp_path,
        '[task]\nname = "task.toml"\n[corpus]\npaths = ["news", "/all"]\n[model]\nteacher = "org/x"\n',
    )
    recipe = read_recipe(path)
    assert recipe.run.name == "short"
    assert recipe.corpus.paths == (tmp_path / "news", Path("/all"))
    assert recipe.task.name == str(tmp_path / "task.toml")
    assert recipe.model.teacher == "org/x"
    assert run_folder_of(recipe, Path("runs")) == Path("runs/short")


def test_overrides_win_and_their_paths_start_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(tmp_path, "[run]\nseed = 1\n[training]\nlearning_rate = 1e-3\n")
    monkeypatch.chdir(tmp_path.parent)
    recipe = read_recipe(
        path, ["run.seed=7", "model.teacher=gemma-3-270m", 'corpus.paths=["x"]', "run.out=here"]
    )
    assert recipe.run.seed == 7 and recipe.training.learning_rate == 1e-3
    assert recipe.corpus.paths == (tmp_path.parent / "x",)
    assert recipe.run.out == tmp_path.parent / "here"


def test_the_kept_recipe_reads_back_equal(tmp_path: Path) -> None:
    recipe = recipe_from({"run": {"name": "a", "seed": 3}, "corpus": {"paths": ['/x y/ü"\\\x7f']}})
    assert read_recipe(write_recipe(tmp_path, recipe_text(recipe))) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trainin]\n", "short.toml: the top level has no 'trainin'; did you mean 'training'"),
        (
            "[training]\nlearning_rat = 1\n",
            r"\[training\] has no 'learning_rat'; did you mean 'learning_rate'",
        ),
        ("[training\n", "not valid TOML.*line 1"),
        ("run = 3\n", "run is 3; it must be a table"),
        ('[run]\nname = "../x"\n', r"\[run\] name is '../x'"),
        ('[run]\nname = ".."\n', r"\[run\] name is '..'"),
        ("[run]\nthreads = 0\n", r"\[run\] threads is 0"),
        ("[synthesis]\nnum_sources = 0\n", "num_sources is 0"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(write_recipe(tmp_path, text))


def test_a_recipe_that_is_missing_a_folder_or_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="There is no recipe"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is a folder"):
        read_recipe(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match=r"not UTF-8 \(byte 2\)"):
        read_recipe(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=1", 1),
        ("a.b=x y", "x y"),
        ('a.b="1"', "1"),
        ("a.b=[1, 2]", [1, 2]),
        ("a.b=true", True),
        ("a.b=", ""),
    ],
)
def test_override_values_are_toml_or_else_text(text: str, value: object) -> None:
    assert parse_override(text) == (["a", "b"], value)


@pytest.mark.parametrize("text", ["a.b", "a=1", ".b=1", "a.=1"])
def test_an_override_without_table_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="table.key=value"):
        parse_override(text)


def test_an_override_below_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="goes below"):
        recipe_from({"run": {"name": "a"}}, ["a.b=1", "a.b.c=1"])


@pytest.mark.parametrize("value", ["a'b\"c=d", "1", "true", 3, Path("x=y"), [Path("a b"), Path("c")]])
def test_an_option_survives_its_way_through_an_override(value: object) -> None:
    plain = [str(item) for item in value] if isinstance(value, list) else value
    assert parse_override(override("a.b", value))[1] == (str(plain) if isinstance(plain, Path) else plain)


def test_toml_of_nested_tables_and_odd_texts_reads_back_equal() -> None:
    table = {
        "a": {"b": {"c": [1, 2.5, True, "x\n\t\x00\x1b\"'\\ é 😀"]}, "odd key": -1},
        "list": [{"k": "v"}],
    }
    assert tomllib.loads(toml_text(table)) == table
    assert toml_text({"a": None}) == ""


def test_a_path_that_is_not_utf_8_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="Rename it"):
        recipe_text(recipe_from({"run": {"name": "a"}, "corpus": {"paths": ["/x\udcff"]}}))


def test_every_setting_of_a_recipe_is_described() -> None:
    from dataclasses import is_dataclass

    from potstill.settings import descriptions, field_types

    def undescribed(cls: type, path: str) -> list[str]:
        told = descriptions(cls)
        found = [f"{path}{name}" for name in field_types(cls) if name not in told]
        for name, kind in field_types(cls).items():
            if is_dataclass(kind) and isinstance(kind, type):
                found += undescribed(kind, f"{path}{name}.")
        return found

    assert undescribed(Recipe, "") == []


def test_evaluating_a_training_without_validation_examples_is_refused():
    with pytest.raises(ConfigError, match="evaluate_every is 5.*validation_share"):
        recipe_from({"run": {"name": "a"}, "training": {"evaluate_every": 5}})
    assert recipe_from({"run": {"name": "a"}, "training": {"evaluate_every": 5, "validation_share": 0.1}})
