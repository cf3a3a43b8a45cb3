"""The three descriptions of the environment agree: pyproject.toml, uv.lock, environment.yml."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from bctlib.__main__ import EXTRA

PROJECT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
SETTINGS = PYPROJECT["tool"]["uv"]
GROUPS = {name: list(map(Requirement, lines)) for name, lines in PYPROJECT["dependency-groups"].items()}
DEPENDENCIES = list(map(Requirement, PYPROJECT["project"]["dependencies"]))
EXTRAS = {name: list(map(Requirement, lines)) for name, lines in PYPROJECT["project"]["optional-dependencies"].items()}
# What `uv sync` installs in a checkout: everything but the packages that only the benchmarks compare with.
INSTALLED = [*DEPENDENCIES, *EXTRAS["upgrade"], *(r for name in SETTINGS["default-groups"] for r in GROUPS[name])]
WANTED = [r for r in INSTALLED if r.name != "bctlib"]
PINNED = {r.name: r for r in map(Requirement, SETTINGS["constraint-dependencies"])}


def test_a_plain_install_brings_what_losses_and_metrics_need_and_the_extra_the_rest():
    assert [r.name for r in DEPENDENCIES] == ["numpy", "torch", "safetensors"]
    assert set(EXTRAS) == {"upgrade"}
    assert sorted(r.name for r in EXTRAS["upgrade"]) == sorted(EXTRA.values()), "the command names what is missing"
    assert set(GROUPS) == {"companion", "dev", "peers"}


def test_uv_sync_installs_the_extra_and_the_groups_of_notebooks_and_tests():
    assert SETTINGS["default-groups"] == ["companion", "dev"]
    (own,) = [r for r in INSTALLED if r.name == "bctlib"]
    assert own in GROUPS["companion"] and own.extras == {"upgrade"}
    assert len({r.name for r in INSTALLED}) == len(INSTALLED), "a package stands in one place"


def test_conda_environment_holds_exactly_the_packages_of_pyproject():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]

    assert environment["channels"][0] == "conda-forge"
    assert not {"pytorch", "nvidia", "defaults"} & set(environment["channels"])
    assert pip[-1] == "--editable ."
    listed = {r.name: r for r in map(Requirement, pip[:-1])}
    assert list(listed) == [r.name for r in WANTED], "same packages, same order"
    for requirement in WANTED:
        expected = PINNED.get(requirement.name, requirement)
        assert listed[requirement.name].specifier == expected.specifier, requirement.name

    (python,) = [Requirement(entry) for entry in conda if entry.startswith("python")]
    assert PYPROJECT["project"]["requires-python"] in str(python.specifier).split(",")


def test_lock_was_made_from_this_pyproject():
    lock = tomllib.loads((PROJECT / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    project = packages["bctlib"]["metadata"]

    locked: dict[str, dict[str, str]] = {}
    for entry in project["requires-dist"]:
        locked.setdefault(entry.get("marker", ""), {})[entry["name"]] = entry.get("specifier", "")
    assert locked == {"": _specifiers(DEPENDENCIES)} | {
        f"extra == '{name}'": _specifiers(requirements) for name, requirements in EXTRAS.items()
    }
    groups = {
        name: {entry["name"]: entry.get("specifier", "") for entry in entries}
        for name, entries in project["requires-dev"].items()
    }
    assert groups == {name: _specifiers(requirements) for name, requirements in GROUPS.items()}
    assert lock["requires-python"] == PYPROJECT["project"]["requires-python"]
    for name, requirement in PINNED.items():
        assert packages[name]["version"] in requirement.specifier


def _specifiers(requirements: list[Requirement]) -> dict[str, str]:
    return {r.name: str(r.specifier) for r in requirements}


@pytest.mark.parametrize("requirement", WANTED, ids=lambda r: r.name)
def test_the_running_environment_satisfies(requirement):
    assert metadata.version(requirement.name) in requirement.specifier


def test_console_entry_is_the_users_command():
    assert PYPROJECT["project"]["scripts"] == {"bctlib": "bctlib.__main__:main"}
