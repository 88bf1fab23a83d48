"""The user's own settings: where runs go, which device, which hub. Never what a run produces.

From below to above: defaults, `potstill.toml` in the user's configuration folder, environment variables
POTSTILL_<TABLE>_<KEY>; a recipe and `--set` stand above them all.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from potstill.devices import MAX_THREADS
from potstill.errors import ConfigError
from potstill.hub.mirrors import check_address
from potstill.settings import field_types, from_table, to_table

_PREFIX, _FILE_VARIABLE = "POTSTILL_", "POTSTILL_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSettings:
    """Where things are kept.

    runs  the folder for runs, relative to the current one
    """

    runs: Path = Path("runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """What models run on when neither a recipe nor an option says so.

    name     `cpu`, `cuda` or `cuda:N`; left out: the best one there is
    threads  CPU threads, in [1, 1024]; left out: one for each core
    """

    name: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise ConfigError(f"threads is {self.threads}; it must be in [1, {MAX_THREADS}].")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileSettings:
    """What is kept of a model that was made ready for the CPU.

    cache  the folder for packed weights, which the next start maps into memory; left out: none are kept
    """

    cache: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """Where models come from; the hub library's own variables HF_ENDPOINT and HF_HUB_OFFLINE win.

    endpoint            address of the hub or of a mirror; left out: the public hub
    mirrors             addresses asked in order for what that one lacks or does not answer
    modelscope_mirrors  the same for ms:// ids, after MODELSCOPE_ENDPOINT
    offline             whether nothing is ever fetched
    """

    endpoint: str | None = None
    mirrors: tuple[str, ...] = ()
    modelscope_mirrors: tuple[str, ...] = ()
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSettings:
    """What `potstill.toml` may hold.

    paths    where things are kept
    device   what models run on
    compile  what is kept of models that were made ready
    hub      where models come from
    """

    paths: PathSettings = field(default_factory=PathSettings)
    device: DeviceSettings = field(default_factory=DeviceSettings)
    compile: CompileSettings = field(default_factory=CompileSettings)
    hub: HubSettings = field(default_factory=HubSettings)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings and, for each `table.key`, where its value comes from."""

    settings: UserSettings
    origins: Mapping[str, str]


def user_file(environment: Mapping[str, str] = os.environ) -> Path:
    from platformdirs import user_config_path

    named = environment.get(_FILE_VARIABLE)
    return Path(named) if named else user_config_path("potstill") / "potstill.toml"


def load_configuration(environment: Mapping[str, str] = os.environ) -> Configuration:
    """The user's settings from file and environment; ConfigError where one of them is wrong."""
    path = user_file(environment)
    table = _read_file(path, required=bool(environment.get(_FILE_VARIABLE)))
    from_table(UserSettings, table, str(path))
    origins = {name: "default" for name in known_keys()}
    origins |= {f"{name}.{key}": str(path) for name, inner in table.items() for key in inner}
    for variable, (name, key) in _variables().items():
        if variable in environment:
            table.setdefault(name, {})[key] = _from_environment(name, key, environment[variable])
            origins[f"{name}.{key}"] = variable
    _refuse_unknown(environment)
    return Configuration(from_table(UserSettings, table, "the environment"), origins)


def apply_hub(hub: HubSettings) -> None:
    """Hand the hub settings to the hub library, which reads its environment when it is first imported."""
    if hub.endpoint:
        os.environ.setdefault("HF_ENDPOINT", hub.endpoint)
    for key, addresses in (("MIRRORS", hub.mirrors), ("MODELSCOPE_MIRRORS", hub.modelscope_mirrors)):
        if addresses:
            os.environ.setdefault(f"{_PREFIX}HUB_{key}", ",".join(addresses))
    if hub.offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if address := os.environ.get("HF_ENDPOINT"):
        # The hub library reads it as it is imported, and fails there on one that is none.
        check_address("HF_ENDPOINT", address)
    # The library reports usage to its hub unless it is told not to; potstill sends nothing anywhere.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def apply_compile(settings: CompileSettings) -> None:
    """Hand the folder to whatever loads models, which reads it from the environment."""
    if settings.cache is not None:
        os.environ.setdefault("POTSTILL_COMPILE_CACHE", str(settings.cache))


def known_keys() -> list[str]:
    table = to_table(UserSettings())
    return [f"{name}.{key}" for name, inner in table.items() for key in inner]


def _variables() -> dict[str, tuple[str, str]]:
    pairs = [key.split(".") for key in known_keys()]
    return {f"{_PREFIX}{name}_{key}".upper(): (name, key) for name, key in pairs}


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise ConfigError(f"{_FILE_VARIABLE} names {path}, which does not exist.") from None
        return {}
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}). Set {_FILE_VARIABLE} to a TOML file that can."
        ) from None


def _from_environment(name: str, key: str, text: str) -> Any:
    """Environment variables are texts: numbers, truth values and lists between commas are read, the rest
    stays."""
    kind = field_types(field_types(UserSettings)[name])[key]
    if kind == tuple[str, ...]:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool:
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)
    if kind == Path | None:
        return text or None
    if kind == int | None:
        return int(text) if text.strip().isdecimal() else text
    return text


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {*_variables(), _FILE_VARIABLE}
    for variable in environment:
        if variable.startswith(_PREFIX) and variable not in known:
            raise ConfigError(f"{variable} is no setting; there are {', '.join(sorted(known))}.")
