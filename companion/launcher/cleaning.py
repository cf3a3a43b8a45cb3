"""`clean`: gives back the disk that trained models and executed notebooks take. Never results, figures or data."""

import shutil
import sys
from pathlib import Path

from bctlib.base.errors import BctError, UsageError
from companion.launcher.run_notebook import runs_dir
from bctlib.base.locations import PROJECT, data_dir, figures_dir, results_dir, store_dir


def clean(yes: bool) -> int:
    """Remove the store and runs/ after saying what goes. Asks on a terminal; elsewhere `yes` must be given."""
    folders = [folder for folder in (store_dir(), runs_dir()) if folder.exists()]
    if not folders:
        print("nothing to remove: there is no store and no executed notebook")
        return 0
    for folder in folders:
        _refuse_if_it_holds_more(folder)
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        size = sum(path.stat().st_size for path in files)
        print(f"{folder}: {len(files)} files, {size / 1e6:.1f} MB")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("clean removes these folders: add --yes to agree")
        if input("Remove them? Models will have to be trained again. [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return 0
    for folder in folders:
        shutil.rmtree(folder)
        print(f"removed {folder}")
    return 0


def _refuse_if_it_holds_more(folder: Path) -> None:
    """A mistyped BCT_STORE must not cost somebody a home folder."""
    for other in (PROJECT, Path.home(), data_dir(), results_dir(), figures_dir()):
        if other.resolve().is_relative_to(folder.resolve()):
            raise BctError(f"clean would remove {other} with {folder}: check BCT_STORE; nothing was removed")
