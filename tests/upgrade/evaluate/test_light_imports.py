"""`bctlib evaluate` and `bctlib report` load neither torch nor pandas; only IJB-C's text files need pandas."""

import os
import subprocess
import sys

import numpy as np
import pytest
from ijbc_fixture import market_names, write_ijbc

from bctlib.base.locations import PROJECT

HEAVY = ("torch", "torchvision", "pandas")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("light")
    truth = write_ijbc(path / "meta")
    for model in ("new", "old"):
        np.save(path / f"{model}.npy", truth[model])
    n = len(truth["new"])
    (path / "labels.txt").write_text("".join(f"id{i % 40}\n" for i in range(n)))
    np.savetxt(path / "pairs.txt", np.random.default_rng(0).integers(0, [n, n, 2], (300, 3)), fmt="%d")
    for name, names in zip(("query", "gallery"), market_names(), strict=True):
        (path / f"{name}.txt").write_text("\n".join(names) + "\n")
        np.save(path / f"{name}.npy", np.random.default_rng(1).normal(size=(len(names), 8)).astype(np.float32))
    return path


def loaded(code: str, folder) -> set[str]:
    """Which of HEAVY a new process has loaded after `code`."""
    code += f"\nprint('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", "import sys\n" + code], capture_output=True, text=True, cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "BCT_STORE": str(folder / "store")},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split()[1:])


IMPORTS = (
    "bctlib.metrics", "bctlib.upgrade.evaluate", "bctlib.upgrade.evaluate.curves", "bctlib.upgrade.report",
    "bctlib.upgrade.report.page", "bctlib.data.paper.ijbc", "bctlib.data.templates",
)  # fmt: skip


@pytest.mark.parametrize("module", IMPORTS)
def test_importing_loads_neither(module, folder):
    assert loaded(f"import {module}", folder) == set()


BOTH = "--query-features new.npy --gallery-features old.npy"
MARKET = "--query-features query.npy --gallery-features gallery.npy"
COMMANDS = {
    "pairs": (f"evaluate pairs {BOTH} --pairs pairs.txt --out pairs", set()),
    "search": (f"evaluate search {BOTH} --query-ids labels.txt --gallery-ids labels.txt --out search", set()),
    "market1501": (
        f"evaluate market1501 {MARKET} --query-names query.txt --gallery-names gallery.txt --out market", set()
    ),
    "ijbc": (f"evaluate ijbc {BOTH} --meta meta --out ijbc", {"pandas"}),
    "report": (f"report {BOTH} --labels labels.txt --resamples 20 --out report", set()),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_runs_without_loading_them(name, folder):
    words, expected = COMMANDS[name]
    code = f"from bctlib.__main__ import main\nassert main({words.split()!r}) == 0"
    assert loaded(code, folder) == expected
    assert any((folder / words.split()[-1]).iterdir())
