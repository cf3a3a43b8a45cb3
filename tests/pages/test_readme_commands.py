"""The commands of README and docs exist: cheap ones are executed, the others are understood."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
from pages import PAGES, blocks
from torch.distributed import run as torchrun

from bctlib.base.locations import PROJECT
from bctlib.upgrade import backfill_order, check_index, embed
from bctlib.upgrade.align import command as align
from bctlib.upgrade.evaluate import command as evaluate
from bctlib.upgrade.report import command as report
from bctlib.upgrade.train import command as train
from companion.launcher import main, train_models
from companion.launcher.command_line import parse, parse_value, read_defaults
from companion.launcher.share import command as share
from dev.bench.__main__ import main as bench

KNOWN_TOOLS = {"git", "cd", "conda", "export", "uv", "source"}
COMMANDS_OF_BCTLIB = {
    "train": train, "embed": embed, "check-index": check_index, "align": align, "evaluate": evaluate, "report": report,
    "backfill-order": backfill_order,
}  # fmt: skip


def commands_of(page: str) -> list[list[str]]:
    """Every command of the page's shell blocks, without comment and leading variables."""
    commands = []
    for line in "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines():
        for part in re.split(r"\s&&\s", line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            commands += [words] if words else []
    return commands


COMMANDS = [words for page in PAGES for words in commands_of(page)]
DIFFERENT = list(dict.fromkeys(map(tuple, COMMANDS)))


def test_the_readme_says_how_to_begin_and_how_to_test():
    assert commands_of("README.md")[:2] == [["./reproduce.sh", "table1"], ["./reproduce.sh", "test"]]


@pytest.mark.parametrize("words", DIFFERENT, ids=" ".join)
def test_a_command_of_the_pages(words, capsys):
    tool, *arguments = words
    if words[:4] == ("python3", "-P", "-m", "companion.launcher.main"):  # what ./reproduce.sh starts
        tool, arguments = "./reproduce.sh", list(words[4:])
    if tool == "bctlib":
        command, *options = arguments
        if "--help" not in options:  # ends in an error for any option that is not its own
            COMMANDS_OF_BCTLIB[command]._parser().parse_args(options)
    elif tool == "./reproduce.sh":
        request = parse(arguments)  # raises on any word that is not understood
        if request.command in ("help", "list", "plan"):
            assert main.main(arguments) == 0
            assert capsys.readouterr().out.strip()
        elif request.command == "share":
            assert share._parser().parse_args(request.words).tables
        elif request.command in ("bench", "data"):
            with pytest.raises(SystemExit, match="0"):
                (main.main if request.command == "data" else bench)(
                    [*arguments[request.command == "bench" : 2], "--help"]
                )
            known = capsys.readouterr().out
            assert all(word in known for word in arguments if word.startswith("--"))
    elif tool == "papermill":
        notebook = PROJECT / arguments[0]
        for position in [at for at, word in enumerate(arguments) if word == "-p"]:
            name, value = arguments[position + 1 : position + 3]
            parse_value(notebook, read_defaults(notebook), name, value)
    elif tool in ("python", "python3") and arguments[0] == "-m":
        module, *options = arguments[1:]
        source = Path(find_spec(module).origin).read_text(encoding="utf-8")
        assert all(word in source for word in options if word.startswith("--") and word != "--help")
    elif tool == "torchrun":
        started = torchrun.parse_args(arguments)
        assert started.module and started.training_script == "companion.launcher.train_models"
        assert train_models.parser().parse_args(started.training_script_args).models
    else:
        assert tool in KNOWN_TOOLS, f"a page uses {tool}"
