"""constraints.txt names the version of every distribution that potstill and its tests bring."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def pinned_versions() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def declared() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"].values()
    return [*project["project"]["dependencies"], *sum(extras, []), *groups["dev"], *groups["parity"]]


def everything_brought_by(requirements: list[str]) -> Iterator[str]:
    """Names of the installed distributions that `requirements` reach."""
    waiting = [(Requirement(text), ("",)) for text in requirements]
    seen = set()
    while waiting:
        requirement, extras = waiting.pop()
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras):
            continue
        key = (canonicalize_name(requirement.name), tuple(sorted(requirement.extras)))
        if key in seen:
            continue
        seen.add(key)
        yield key[0]
        needs = distribution(requirement.name).requires or []
        waiting += [(Requirement(need), ("", *requirement.extras)) for need in needs]


def test_everything_that_is_installed_has_its_version_pinned():
    pins = pinned_versions()
    for name in everything_brought_by(declared()):
        assert name in pins, f"{name} is installed and not in constraints.txt"
        assert distribution(name).version.split("+")[0] == pins[name], name


def test_torch_is_pinned_without_a_local_version():
    assert pinned_versions()["torch"].count("+") == 0


def test_a_pin_names_a_distribution_that_is_there_or_is_the_oracle():
    for name in pinned_versions():
        try:
            distribution(name)
        except PackageNotFoundError:
            assert name in {"llama-cpp-python", "diskcache", "nanobind", "scikit-build-core"}, name
