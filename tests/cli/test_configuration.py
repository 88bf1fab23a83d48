import json
from pathlib import Path

import pytest

from cli.conftest import Command
from potstill.cli.configuration import UserSettings, apply_compile, apply_hub, load_configuration
from potstill.errors import ConfigError
from potstill.files import write_text
from potstill.hub.mirrors import mirrors
from potstill.models.compile_cache import compile_cache_folder


def write_user_file(folder: Path, text: str) -> Path:
    path = folder / "config" / "potstill" / "potstill.toml"
    write_text(path, text)
    return path


def test_environment_wins_over_file_and_file_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_user_file(tmp_path, '[paths]\nruns = "/a"\n[device]\nthreads = 3\n')
    monkeypatch.setenv("POTSTILL_DEVICE_THREADS", "5")
    monkeypatch.setenv("POTSTILL_HUB_OFFLINE", "1")
    configuration = load_configuration()
    assert configuration.settings.paths.runs == Path("/a")
    assert configuration.settings.device.threads == 5 and configuration.settings.hub.offline
    assert configuration.origins == {
        "paths.runs": str(path),
        "device.name": "default",
        "device.threads": "POTSTILL_DEVICE_THREADS",
        "compile.cache": "default",
        "hub.endpoint": "default",
        "hub.mirrors": "default",
        "hub.modelscope_mirrors": "default",
        "hub.offline": "POTSTILL_HUB_OFFLINE",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[paths]\nrun = 1\n", "did you mean 'runs'"),
        ("[training]\n", "has no 'training'"),
        ("[paths", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    write_user_file(tmp_path, text)
    with pytest.raises(ConfigError, match=f"potstill.toml.*{message}"):
        load_configuration()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("POTSTILL_DEVICE_THREAD", "3", "POTSTILL_DEVICE_THREAD is no setting"),
        ("POTSTILL_DEVICE_THREADS", "many", "device.threads is 'many'"),
        ("POTSTILL_HUB_OFFLINE", "perhaps", "hub.offline is 'perhaps'"),
        ("POTSTILL_CONFIG", "/none.toml", "/none.toml, which does not exist"),
    ],
)
def test_a_wrong_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=message):
        load_configuration()


def test_the_users_folder_for_runs_is_used(
    potstill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTSTILL_PATHS_RUNS", str(tmp_path / "elsewhere"))
    assert potstill("distill", "--task", "shorten", "--quiet").code == 0
    assert (tmp_path / "elsewhere/shorten/recipe.toml").is_file()


def test_config_show_tells_where_a_recipes_values_come_from(potstill: Command, tmp_path: Path) -> None:
    write_text(tmp_path / "a.toml", "[run]\nseed = 4\n")
    told = json.loads(potstill("config", "show", "a.toml", "--set", "model.teacher=x", "--json").out)[
        "settings"
    ]
    assert told["run.seed"] == {"value": 4, "origin": "a.toml"}
    assert told["model.teacher"] == {"value": "x", "origin": "--set"}
    assert told["training.method"]["origin"] == "default"
    assert "a.toml" in potstill("config", "show", "a.toml", "--origin").out


def test_config_schema_describes_every_table(potstill: Command) -> None:
    told = json.loads(potstill("config", "schema").out)
    assert list(told["properties"]) == [
        "run",
        "model",
        "task",
        "corpus",
        "synthesis",
        "training",
        "evaluation",
    ]
    assert told["additionalProperties"] is False
    assert "description" in told["properties"]["training"]["properties"]["learning_rate"]
    assert "paths" in json.loads(potstill("config", "schema", "--user").out)["properties"]


def test_an_empty_variable_names_no_file(tmp_path: Path) -> None:
    environment = {"POTSTILL_CONFIG": "", "XDG_CONFIG_HOME": str(tmp_path)}
    assert load_configuration(environment).settings == UserSettings()


@pytest.mark.parametrize("address", ["http://[", "http://127.0.0.1:999999", "http://hub:port", "hub"])
def test_an_address_of_a_hub_that_is_none_is_told(
    potstill: Command, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    done = potstill("model", "pull", "org/name")
    assert done.code == 2 and "HF_ENDPOINT" in done.err and repr(address) in done.err


def test_mirrors_of_the_file_go_where_the_hub_reads_them_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MIRRORS", "MODELSCOPE_MIRRORS"):
        # Set and taken back at the end, because they are set below.
        monkeypatch.setenv(f"POTSTILL_HUB_{name}", "")
        monkeypatch.delenv(f"POTSTILL_HUB_{name}")
    write_user_file(
        tmp_path, '[hub]\nmirrors = ["https://a", "https://b"]\nmodelscope_mirrors = ["https://c"]\n'
    )
    monkeypatch.setenv("POTSTILL_HUB_MODELSCOPE_MIRRORS", "https://d, https://e")
    hub = load_configuration().settings.hub
    assert hub.modelscope_mirrors == ("https://d", "https://e")
    apply_hub(hub)
    assert mirrors("POTSTILL_HUB_MIRRORS") == ["https://a", "https://b"]
    assert mirrors("POTSTILL_HUB_MODELSCOPE_MIRRORS") == ["https://d", "https://e"]


def test_the_folder_for_packed_weights_goes_where_models_are_loaded_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set and taken back at the end, because it is set below.
    monkeypatch.setenv("POTSTILL_COMPILE_CACHE", "")
    assert load_configuration().settings.compile.cache is None
    monkeypatch.delenv("POTSTILL_COMPILE_CACHE")
    write_user_file(tmp_path, '[compile]\ncache = "/of/the/file"\n')
    apply_compile(load_configuration().settings.compile)
    assert compile_cache_folder() == Path("/of/the/file")
    monkeypatch.setenv("POTSTILL_COMPILE_CACHE", "/of/the/environment")
    configuration = load_configuration()
    apply_compile(configuration.settings.compile)
    assert compile_cache_folder() == Path("/of/the/environment")
    assert configuration.origins["compile.cache"] == "POTSTILL_COMPILE_CACHE"
