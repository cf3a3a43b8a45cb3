#!/usr/bin/env bash
# Makes the environment on first use, then hands everything over to Python: try `./reproduce.sh --help`.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
venv="$here/.venv"
stamp="$venv/.bct-stamp" # written last, so an interrupted set-up is never taken for a finished one
uv=""

say() { printf 'reproduce.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# What the finished environment was made from: the lock, and the folder (an environment cannot be moved).
fingerprint() { printf '%s\n%s\n' "$(cksum <"$here/uv.lock")" "$here"; }

# True where $1 is a Python >= 3.11, outside .venv, that imports bctlib from this checkout and has its packages.
holds_bctlib() {
    command -v "$1" >/dev/null 2>&1 && BCT_HERE="$here" BCT_VENV="$venv" "$1" -P - >/dev/null 2>&1 <<'PY'
import importlib.util, os, sys
same = os.path.realpath(sys.prefix) == os.path.realpath(os.environ["BCT_VENV"])
specs = [importlib.util.find_spec(name) for name in ("bctlib", "torch", "papermill", "pytest")]
mine = all(specs) and os.path.dirname(os.path.dirname(os.path.realpath(specs[0].origin))) == os.environ["BCT_HERE"]
sys.exit(0 if mine and not same and sys.version_info >= (3, 11) else 1)
PY
}

# True where $1 is a uv at least as new as pyproject.toml asks for.
uv_is_new_enough() {
    local version major minor
    version="$("$1" --version 2>/dev/null | awk '{print $2}')" || return 1
    major="${version%%.*}"
    minor="${version#*.}"
    minor="${minor%%.*}"
    [[ "$major" =~ ^[0-9]+$ && "$minor" =~ ^[0-9]+$ ]] && ((major > 0 || minor >= 8))
}

find_uv() {
    local candidate
    for candidate in uv "$here/.uv/bin/uv"; do
        if uv_is_new_enough "$candidate"; then
            uv="$candidate"
            return
        fi
    done
    command -v python3 >/dev/null 2>&1 ||
        fail "no python3 and no uv here: install Python 3.11 or later, or uv (https://docs.astral.sh/uv), and call this again."
    say "getting uv, the installer, into .uv/ (some seconds, 20 MB)"
    rm -rf "$here/.uv"
    if python3 -m venv "$here/.uv" >/dev/null 2>&1; then
        "$here/.uv/bin/python" -m pip install --quiet uv || fail "pip could not install uv; its message is above."
    else # Debian without python3-venv: pip alone will do
        python3 -m pip install --quiet --target "$here/.uv" uv || fail \
            "python3 has neither venv nor pip: install them (Debian: apt install python3-venv) or uv, and call this again."
    fi
    uv="$here/.uv/bin/uv"
    uv_is_new_enough "$uv" || fail "uv was installed into .uv/ but does not run here; install uv 0.8 or later yourself."
}

make_environment() {
    find_uv
    "$uv" python find '>=3.11' >/dev/null 2>&1 ||
        say "no Python 3.11 or later found here: uv will try to download one"
    if [[ -e "$venv" && ! -x "$venv/bin/python" ]]; then
        say "removing a half-made .venv/"
        rm -rf "$venv"
    fi
    say "making the environment in .venv/ from uv.lock: about a minute plus a download of 2 to 5 GB (once)"
    trap 'say "interrupted; call it again and it goes on from there."; exit 130' INT TERM
    rm -f "$stamp"
    # Compiled now: where Python may not write bytecode (many containers), each start would take 4 times as long.
    env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT="$venv" "$uv" sync --compile-bytecode --frozen --project "$here" >&2 || fail \
        "the environment could not be made (uv's message is above): it needs Python 3.11 or later and the network."
    trap - INT TERM
    fingerprint >"$stamp.new" && mv "$stamp.new" "$stamp"
    say "environment ready"
}

for python in python python3; do
    if holds_bctlib "$python"; then
        exec "$python" -P -m companion.launcher.main "$@"
    fi
done
if [[ ! -x "$venv/bin/python" || ! -f "$stamp" || "$(fingerprint)" != "$(cat "$stamp")" ]]; then
    make_environment
fi
exec "$venv/bin/python" -P -m companion.launcher.main "$@"
