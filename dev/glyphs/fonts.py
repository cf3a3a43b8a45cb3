"""Finding the font files of Debian packages: as .deb files, unpacked trees, or downloaded by apt-get (no root)."""

import gzip
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dev.glyphs.typefaces import Typeface
from bctlib.base.errors import BctError


@dataclass(frozen=True)
class FontFile:
    """Where a typeface's font lies, with its package's version and copyright text."""

    path: Path
    version: str
    copyright: str


def _run(command: list[str], where: Path) -> None:
    if shutil.which(command[0]) is None:
        raise BctError(
            f"{command[0]} is needed to get fonts from Debian packages and is not installed here; give "
            "--fonts a folder of unpacked packages instead."
        )
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise BctError(f"`{' '.join(command)}` failed: {last[0]}")


def download_packages(packages: list[str], folder: Path) -> None:
    """Get with `apt-get download` those packages of which `folder` holds no .deb file yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if not any(folder.glob(f"{package}_*.deb")):
            _run(["apt-get", "download", package], folder)


def _unpack(package: str, fonts: Path, scratch: Path) -> Path:
    """Folder that holds the package's `usr` tree."""
    archives = sorted(fonts.glob(f"{package}_*.deb"))
    if len(archives) > 1:
        raise BctError(f"{fonts} holds {len(archives)} versions of {package}; leave the one to use.")
    if archives:
        tree = scratch / package
        if not tree.exists():
            tree.mkdir(parents=True)
            _run(["dpkg", "-x", str(archives[0].resolve()), str(tree)], scratch)
        return tree
    # An unpacked tree: one folder a package, or all packages unpacked in one place (`/` itself for installed fonts).
    for tree in (fonts / package, fonts, *fonts.parents):
        if (tree / "usr/share/doc" / package).is_dir():
            return tree
    raise BctError(f"{fonts} holds neither {package}_*.deb nor its unpacked tree; --download gets it with apt-get.")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def find_font(face: Typeface, fonts: Path, scratch: Path) -> FontFile:
    """Locate a typeface below `fonts`, unpacking its package into `scratch` where it is still a .deb.

    Raises BctError, naming the package, when the package, the font, its change log or its copyright file is missing.
    """
    tree = _unpack(face.package, fonts, scratch)
    paths = [path for path in sorted((tree / "usr/share/fonts").glob(f"**/{face.file}")) if not path.is_symlink()]
    if not paths:
        raise BctError(f"Package {face.package} under {fonts} holds no font file {face.file}.")
    doc = tree / "usr/share/doc" / face.package
    log = doc / "changelog.Debian.gz"
    if not log.is_file() or not (doc / "copyright").is_file():
        raise BctError(f"{doc} must hold changelog.Debian.gz and copyright, from which version and licence are read.")
    with gzip.open(log, "rt", encoding="utf-8", errors="replace") as lines:
        version = re.match(r"\S+ \(([^)]+)\)", lines.readline())
    if version is None:
        raise BctError(f"{log} line 1: expected `package (version) ...`.")
    return FontFile(paths[0], version[1], _text(doc / "copyright"))
