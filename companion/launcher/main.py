"""The command line behind ./reproduce.sh: `python -m companion.launcher.main --help`."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bctlib.base import locations
from bctlib.base.errors import BctError, UsageError
from bctlib.base.locations import PROJECT, data_dir, figures_dir, results_dir, store_dir
from bctlib.base.progress import clock
from companion.launcher import listing
from companion.launcher.command_line import Job, Request, help_text, parse
from companion.launcher.processes import check_processes, train_in_processes
from companion.launcher.side_by_side import train_side_by_side, trainings, workers_for
from companion.launcher.threads import set_threads
from companion.launcher.watched_process import Interrupted, run_notebook, runs_dir


def clean(yes: bool) -> int:
    """Remove the store and runs/, never results, figures or data, and return the exit status.

    Asks first on a terminal; elsewhere `yes` must be given. Raises UsageError without it, and BctError if a
    folder holds more than that.
    """
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
    """A mistyped BCT_STORE must not delete a home folder."""
    for other in (PROJECT, Path.home(), data_dir(), results_dir(), figures_dir()):
        if other.resolve().is_relative_to(folder.resolve()):
            raise BctError(f"clean would remove {other} with {folder}: check BCT_STORE; nothing was removed")


def main(argv: list[str] | None = None) -> int:
    """Run the command and return the exit status; errors are one sentence on stderr."""
    try:
        _fix_folders()
        return _do(parse(sys.argv[1:] if argv is None else argv))
    except BctError as error:
        print(f"reproduce.sh: {error}", file=sys.stderr)
        return error.exit_code
    except Interrupted as interrupted:
        print(f"\nreproduce.sh: stopped by {interrupted}; finished models stay in the store", file=sys.stderr)
        return 128 + interrupted.signum
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _fix_folders() -> None:
    """Resolve relative folders against the user's working folder, not the one in which a notebook runs."""
    for name in ("BCT_DATA", "BCT_PAPER_DATA", "BCT_STORE", "BCT_RESULTS", "BCT_FIGURES"):
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).expanduser().resolve())


def _do(request: Request) -> int:
    if request.command == "help":
        print(help_text(), end="")
    elif request.command == "list":
        listing.print_targets()
    elif request.command == "plan":
        set_threads(request.jobs[0].scale)  # before torch is loaded: the rate is measured as a run would train
        for job in request.jobs:
            listing.print_plan(job, request.workers)
    elif request.command == "figures":
        return _figures()
    elif request.command == "clean":
        return clean(request.yes)
    elif request.command == "test":
        return _test(request.words)
    elif request.command == "data":
        return _data(request.words)
    elif request.command == "bench":
        return _bench(request.words)
    elif request.command == "recipe":
        return _recipe(request.words)
    elif request.command == "share":
        from companion.launcher.share.command import main as share  # sets the threads before it loads torch

        return share(request.words)
    elif request.command == "lab":
        from companion.launcher.jupyter.lab import open_lab

        open_lab(request.words)
    else:
        return _run(request.jobs, request.processes, request.workers)
    return 0


def _test(words: tuple[str, ...]) -> int:
    import pytest

    os.chdir(locations.PROJECT)
    status = pytest.main(["-m", "long", *words[1:]] if words[:1] == ("long",) else list(words))
    return {pytest.ExitCode.OK: 0, pytest.ExitCode.USAGE_ERROR: 2}.get(status, 1)


def _data(words: tuple[str, ...]) -> int:
    if words[:1] != ("check",):
        raise UsageError("data takes the word check: ./reproduce.sh data check --root DIR")
    from bctlib.data.paper.check import main as check

    return check(words[1:])


def _bench(words: tuple[str, ...]) -> int:
    """In a process of its own, because companion does not import dev."""
    return subprocess.run([sys.executable, "-P", "-m", "dev.bench", *words]).returncode


def _recipe(words: tuple[str, ...]) -> int:
    if words not in ((), ("run",)):
        raise UsageError("recipe takes the word run, or nothing: ./reproduce.sh recipe run")
    set_threads("desk")  # before torch is loaded
    from companion.measure.recipe_search import run_candidate
    from companion.tables.shown.recipe import next_runs, recipe_table

    while words and (runs := next_runs()):
        run_candidate(*runs[0])
    print(recipe_table().to_string())
    return 0


def _figures() -> int:
    from companion.figures.redraw import redraw_all

    redraw_all()
    print(f"figures are in {locations.figures_dir()}")
    return 0


def _run(jobs: tuple[Job, ...], processes: int, workers: int | None) -> int:
    """Run each notebook once, even for several targets, then print the table of each target."""
    set_threads(jobs[0].scale)  # before torch is loaded
    from companion.measure.run import require_data

    if processes > 1:
        check_processes(processes, jobs)
    for job in [job for job in jobs if job.trained]:
        require_data(job.target.shown, job.scale, job.target.task)
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.target.notebook, []).append(job)
    if len(groups) > 1:
        total = listing.summary(jobs, 1 if processes > 1 else workers)
        print(f"{len(groups)} notebooks, {len(jobs)} targets: {total}", flush=True)
    for group in groups.values():
        if status := _run_group(group, processes, workers):
            return status
    return 0


def _run_group(jobs: list[Job], processes: int, workers: int | None) -> int:
    from companion.tables.tables import (
        print_table,
    )  # imported first, so that a long run does not end in an import error

    first = jobs[0]
    parameters = {name: value for job in jobs for name, value in job.parameters.items()}  # those that any job sets
    notebook = locations.notebooks_dir() / first.target.notebook
    output = runs_dir() / f"{first.target.name}-{first.scale}.ipynb"
    print(f"{' '.join(job.target.name for job in jobs)} at {first.scale} scale: notebooks/{notebook.name} -> {output}")
    if note := listing.basis_line(jobs):
        print(note, flush=True)
    workers = 1 if processes > 1 else workers
    print(listing.summary(jobs, workers), flush=True)
    began = time.time()
    work = trainings(listing.missing_models(jobs))
    at_once = workers_for(work, first.scale, str(parameters.get("device", "auto")), workers)
    if processes > 1 or at_once > 1:
        if processes > 1:
            status = train_in_processes(processes, jobs, parameters)
        else:
            status = train_side_by_side(work, at_once, jobs, parameters)
        if status:
            print(f"reproduce.sh: failed after {clock(time.time() - began)}; no notebook was run", file=sys.stderr)
            return status
        parameters = {name: value for name, value in parameters.items() if name != "force"}  # already trained again
    status = run_notebook(notebook, output, parameters)
    took = clock(time.time() - began)
    if status:
        print(f"reproduce.sh: failed after {took}; the notebook with the failed cell is {output}", file=sys.stderr)
        return status
    for table in dict.fromkeys(table for job in jobs for table in job.target.shown):
        print()
        print_table(table, first.scale, parameters.get("device", "auto"), parameters.get("lam", 1.0))
    drawn = [path.name for path in sorted(locations.figures_dir().rglob("*.png")) if path.stat().st_mtime >= began - 1]
    print()
    if drawn:
        print(f"figures: {', '.join(drawn)} in {locations.figures_dir()}")
    print(f"done in {took}; executed notebook: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
