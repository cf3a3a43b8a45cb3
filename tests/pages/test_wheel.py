"""The wheel holds bctlib alone, and its command works from any folder in an environment of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import numpy as np
import pytest

from bctlib.base.locations import PROJECT

pytestmark = pytest.mark.long  # building fetches hatchling


def run(*words, cwd) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("BCT_", "PYTHON", "VIRTUAL_"))}
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=cwd, env=plain)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def uv() -> str:
    own = PROJECT / ".uv" / "bin" / "uv"
    found = shutil.which("uv") or (str(own) if own.exists() else None)
    return found or pytest.skip("uv, which builds the wheel, is not installed")


@pytest.fixture(scope="module")
def wheel(uv, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(uv, "build", "--wheel", "--out-dir", folder, PROJECT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_bctlib_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith("/METADATA")]
    assert {name.split("/")[0] for name in names} == {"bctlib", "bctlib-0.1.0.dist-info"}
    package = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "bctlib").rglob("*.py")}
    assert {name for name in names if name.startswith("bctlib/")} == package | {"bctlib/upgrade/report/page.html.jinja"}
    required = [line.split(": ")[1] for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert sorted(line for line in required if "extra ==" not in line) == [
        "numpy>=2.0", "safetensors>=0.4.5", "torch>=2.11",
    ]  # fmt: skip


def test_the_installed_command_reports_from_any_folder(uv, wheel, tmp_path):
    run(uv, "venv", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(uv, "pip", "install", "--no-deps", "--python", python, wheel, cwd=tmp_path)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    with open(f"{site}/others.pth", "w") as file:  # torch and the others from here: no download of gigabytes
        file.write(sysconfig.get_path("purelib") + "\n")
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(20, 16)), 4, axis=0)
    for model, noise in (("new", 0.5), ("old", 1.5)):
        np.save(tmp_path / f"{model}.npy", (centres + noise * rng.normal(size=centres.shape)).astype(np.float32))
    (tmp_path / "labels.txt").write_text("".join(f"id{row // 4}\n" for row in range(len(centres))))

    loaded = run(python, "-c", "import sys, bctlib.metrics as m; print(m.__file__, 'torch' in sys.modules)", cwd="/")
    assert loaded == f"{site}/bctlib/metrics/__init__.py False\n"
    assert run(python, "-c", "import bctlib.losses; print('ok')", cwd="/") == "ok\n"
    command = python.with_name("bctlib")
    assert run(command, "--version", cwd="/") == "0.1.0\n"
    said = run(
        command, "report", "--query-features", "new.npy", "--gallery-features", "old.npy", "--labels", "labels.txt",
        "--resamples", "50", "--out", "judged", cwd=tmp_path,
    )  # fmt: skip
    assert said.splitlines()[-1] == "written to judged: report.html, report.json"
    assert not set(os.listdir(site)) & {"store", "results", "figures", "data"}
