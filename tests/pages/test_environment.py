"""The three descriptions of the environment agree: pyproject.toml, uv.lock, environment.yml."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
WANTED = [Requirement(line) for line in PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]]
PINNED = {r.name: r for r in map(Requirement, PYPROJECT["tool"]["uv"]["constraint-dependencies"])}


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
    locked = {entry["name"]: entry.get("specifier", "") for entry in project["requires-dist"]}
    locked |= {entry["name"]: entry.get("specifier", "") for entry in project["requires-dev"]["dev"]}

    assert locked == {r.name: str(r.specifier) for r in WANTED}
    assert lock["requires-python"] == PYPROJECT["project"]["requires-python"]
    for name, requirement in PINNED.items():
        assert packages[name]["version"] in requirement.specifier


@pytest.mark.parametrize("requirement", WANTED, ids=lambda r: r.name)
def test_the_running_environment_satisfies(requirement):
    assert metadata.version(requirement.name) in requirement.specifier


def test_console_entry_is_the_users_command():
    assert PYPROJECT["project"]["scripts"] == {"bctlib": "bctlib.__main__:main"}
