"""A copy outside a checkout: where its folders are, what it says of missing packages, and what its imports load."""

import os
import shutil
import subprocess
import sys

import pytest

from bctlib.__main__ import COMMANDS, EXTRA
from bctlib.base import locations
from bctlib.base.locations import PROJECT

FOLDERS = ("data", "store", "results", "figures")


def run(code: str, cwd, **environment: str) -> subprocess.CompletedProcess:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BCT_")}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd,
        env=plain | {"PYTHONPATH": str(cwd)} | environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds bctlib alone, as site-packages does."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(PROJECT / "bctlib", site / "bctlib", ignore=shutil.ignore_patterns("__pycache__"))
    return site


def test_a_checkout_keeps_its_folders_and_variables_move_them(monkeypatch, tmp_path):
    for name in FOLDERS:
        monkeypatch.delenv(f"BCT_{name.upper()}", raising=False)
        assert getattr(locations, f"{name}_dir")() == PROJECT / name
        monkeypatch.setenv(f"BCT_{name.upper()}", str(tmp_path / name))
        assert getattr(locations, f"{name}_dir")() == tmp_path / name


def test_an_installed_copy_keeps_its_folders_in_the_users_data_folder(installed, tmp_path):
    code = """
from bctlib.base import locations
print(*(getattr(locations, name + "_dir")() for name in ("data", "store", "results", "figures", "paper_data")))
"""
    home = tmp_path / "home"
    found = run(code, installed, HOME=str(home), XDG_DATA_HOME=str(home / "share"), BCT_RESULTS=str(tmp_path / "mine"))
    data, store, results, figures, paper = found.stdout.split()

    assert results == str(tmp_path / "mine"), "a variable wins"
    assert (paper, os.path.basename(store)) == (f"{data}/paper", "store")
    for folder in (data, store, figures):
        assert folder.startswith(str(home)) and "bctlib" in folder and str(installed) not in folder


def test_an_installed_copy_names_no_commit_of_the_repository_around_it(installed):
    subprocess.run(["git", "init", "-q", str(installed)], check=True)
    found = run("from bctlib.base.provenance import provenance; print(provenance()['commit'])", installed)
    assert found.stdout == "unknown\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_the_extra_says_so_in_one_sentence(command, installed, tmp_path):
    code = f"""
import sys
sys.modules.update(dict.fromkeys({list(EXTRA)!r}))  # None: importing it raises ModuleNotFoundError
from bctlib.__main__ import main
sys.exit(main(["{command}", "--help"]))
"""
    found = run(code, installed)
    if found.returncode:
        (line,) = found.stderr.splitlines()
        assert line.startswith(f"bctlib: bctlib {command} needs the package ")
        assert line.endswith(", which is not installed: pip install 'bctlib[upgrade]'")
        assert found.returncode == 1
    else:
        assert found.stdout.startswith("usage: bctlib "), "help needs no package"


def test_a_package_that_is_first_needed_in_the_middle_is_named_too(monkeypatch, tmp_path, capsys):
    import numpy as np

    from bctlib.__main__ import main

    features = np.eye(4, dtype=np.float32)
    np.save(tmp_path / "f.npy", features)
    (tmp_path / "labels.txt").write_text("a\na\nb\nb\n")
    words = ["--query-features", "--gallery-features"]
    given = [word for option in words for word in (option, str(tmp_path / "f.npy"))]
    for module in [name for name in sys.modules if name.startswith("bctlib.upgrade.report.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    status = main(["report", *given, "--labels", str(tmp_path / "labels.txt"), "--out", str(tmp_path / "out")])
    assert status == 1 and not (tmp_path / "out").exists()
    assert capsys.readouterr().err == (
        "bctlib: bctlib report needs the package jinja2, which is not installed: pip install 'bctlib[upgrade]'\n"
    )


def test_an_error_in_an_import_of_its_own_is_no_missing_package(monkeypatch):
    from bctlib import __main__ as command

    monkeypatch.setitem(command._MODULES, "report", "bctlib.no_such_module")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        command.main(["report"])
