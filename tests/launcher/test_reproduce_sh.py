"""The set-up script, on a copy of the project's outside with a stand-in for uv: when it installs, and what it says."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

# Writes down how it was called; `sync` makes an environment whose python writes down its arguments.
UV = """#!/bin/bash
echo "$*" >>"$CALLS"
case "$1" in
    --version) echo "uv ${UV_VERSION:-0.13.9} (stand-in)" ;;
    python) exit "${UV_FIND:-0}" ;;
    sync)
        mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
        [ -z "$UV_SLOW" ] || { touch "$UV_SLOW"; sleep 30; }
        [ -z "$UV_FAILS" ] || { echo "no space left" >&2; exit 2; }
        printf '#!/bin/bash\\nprintf "<%%s>" "$@"\\necho\\n' >"$UV_PROJECT_ENVIRONMENT/bin/python"
        chmod +x "$UV_PROJECT_ENVIRONMENT/bin/python"
        ;;
esac
"""
# A python3 without bctlib, that can make a private environment and "install" uv into it.
PYTHON3 = """#!/bin/bash
echo "python3 $*" >>"$CALLS"
[ "$1 $2" = "-m venv" ] || [ "$3" = "install" ] || exit 1
if [ "$2" = venv ]; then
    [ -z "$NO_VENV" ] || exit 1
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
else
    target="$(dirname "$(dirname "$0")")"
    for word in "$@"; do [ "$previous" = --target ] && target="$word"; previous="$word"; done
    mkdir -p "$target/bin" && cp "$UV_FILE" "$target/bin/uv"
fi
"""


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Clone:
    """A clone in a folder with a space in its name, and a PATH of its own."""

    def __init__(self, folder: Path):
        self.root = folder.resolve() / "my clone"
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        self.root.mkdir()
        for name in ("reproduce.sh", "uv.lock", "pyproject.toml"):
            shutil.copy2(PROJECT / name, self.root / name)
        for tool in (
            "bash",
            "dirname",
            "cksum",
            "cat",
            "awk",
            "rm",
            "mv",
            "mkdir",
            "env",
            "cp",
            "chmod",
            "touch",
            "sleep",
        ):
            self.bin.mkdir(exist_ok=True)
            (self.bin / tool).symlink_to(shutil.which(tool))
        executable(folder / "uv-file", UV)
        executable(self.bin / "uv", UV)
        executable(self.bin / "python3", PYTHON3)
        self.environment = {"PATH": str(self.bin), "CALLS": str(self.calls), "UV_FILE": str(folder / "uv-file")}

    def start(self, *words: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [str(self.root / "reproduce.sh"), *words],
            cwd=cwd or self.root,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **options) -> tuple[int, str, str]:
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def called(self, word: str) -> int:
        return sum(word in line for line in self.calls.read_text().splitlines()) if self.calls.exists() else 0


@pytest.fixture
def clone(tmp_path) -> Clone:
    return Clone(tmp_path)


def test_first_call_installs_from_the_lock_and_second_starts_at_once(clone, tmp_path):
    status, out, err = clone.run("table1", "-p", "name", "two words", cwd=tmp_path)
    assert status == 0
    assert out == "<-P><-m><companion.launcher.main><table1><-p><name><two words>\n"
    assert "about a minute" in err and "2 to 5 GB" in err
    assert clone.called(f"sync --compile-bytecode --frozen --project {clone.root}") == 1

    calls = clone.calls.read_text()
    status, out, err = clone.run("list")
    assert (status, out, err) == (0, "<-P><-m><companion.launcher.main><list>\n", "")
    assert "sync" not in clone.calls.read_text()[len(calls) :]


def test_a_changed_lock_or_a_moved_clone_installs_again(clone):
    clone.run("list")
    with (clone.root / "uv.lock").open("a") as lock:
        lock.write("# changed\n")
    clone.run("list")
    assert clone.called("sync") == 2
    moved = clone.root.with_name("moved clone")
    clone.root.rename(moved)
    clone.root = moved
    clone.run("list")
    assert clone.called("sync") == 3


def test_a_failed_installation_is_said_and_tried_again(clone):
    status, out, err = clone.run("table1", UV_FAILS="1")
    assert (status, out) == (1, "")
    assert "no space left" in err and "could not be made" in err
    status, _, err = clone.run("table1")
    assert status == 0 and "removing a half-made" in err and clone.called("sync") == 2


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_is_not_taken_for_a_finished_one(clone, tmp_path, signum):
    process = clone.start("table1", UV_SLOW=str(tmp_path / "started"))
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signum)  # as a terminal does
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "interrupted" in err and out == ""
    assert clone.run("table1")[0] == 0
    assert clone.called("sync") == 2


def test_without_uv_it_is_fetched_once_into_a_private_place(clone):
    (clone.bin / "uv").unlink()
    status, out, err = clone.run("table1")
    assert status == 0 and "<table1>" in out and "getting uv" in err
    assert (clone.root / ".uv" / "bin" / "uv").exists()
    (clone.root / "uv.lock").write_text("changed")
    assert "getting uv" not in clone.run("table1")[2]


def test_without_venv_pip_alone_will_do(clone):
    (clone.bin / "uv").unlink()
    status, out, _ = clone.run("table1", NO_VENV="1")
    assert status == 0 and "<table1>" in out


def test_a_uv_that_is_too_old_is_not_used(clone):
    status, _, err = clone.run("table1", UV_VERSION="0.7.22")
    assert status == 1 and "getting uv" in err  # the stand-in that is fetched is as old
    assert "install uv 0.8 or later" in err and clone.called("sync") == 0


def test_without_any_python_one_sentence_says_what_to_do(clone):
    for name in ("uv", "python3"):
        (clone.bin / name).unlink()
    status, _, err = clone.run("table1")
    assert status == 1 and len(err.splitlines()) == 1 and "install Python 3.11 or later" in err


def test_uv_is_left_to_find_a_newer_python(clone):
    status, _, err = clone.run("table1", UV_FIND="2")
    assert status == 0 and "uv will try to download one" in err


def test_an_active_environment_that_holds_bctlib_is_used(clone, tmp_path):
    executable(clone.root / "bctlib" / "__init__.py", "")
    executable(clone.root / "companion" / "launcher" / "main.py", "import sys\nprint('active', sys.argv[1:])")
    venv.create(tmp_path / "active", with_pip=False)
    (packages,) = (tmp_path / "active").rglob("site-packages")
    installed = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "all.pth").write_text("\n".join([str(clone.root), *installed]))
    path = f"{tmp_path / 'active' / 'bin'}{os.pathsep}{clone.bin}"

    status, out, err = clone.run("table1", PATH=path)
    assert (status, out, err) == (0, "active ['table1']\n", "")
    assert clone.called("sync") == 0

    (packages / "all.pth").write_text("\n".join(installed))  # no bctlib, or that of another checkout
    status, out, _ = clone.run("table1", PATH=path)
    assert status == 0 and "<table1>" in out and clone.called("sync") == 1
