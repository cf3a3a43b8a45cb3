"""The README's commands exist: cheap ones are executed, the others are understood."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
from torch.distributed import run as torchrun

from bctlib.experiments import train_models
from bctlib.launcher import main
from bctlib.launcher.command_line import parse
from bctlib.launcher.notebook_parameters import parse_value, read_defaults

PROJECT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(?:bash|sh|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
KNOWN_TOOLS = {"git", "cd", "conda", "export", "uv", "source"}


def readme_commands() -> list[list[str]]:
    """Every command of the README's shell blocks, without prompt, comment and leading variables."""
    text = "\n".join(BLOCK.findall((PROJECT / "README.md").read_text(encoding="utf-8"))).replace("\\\n", " ")
    commands = []
    for line in text.splitlines():
        for part in re.split(r"\s&&\s", line.removeprefix("$ ")):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            commands += [words] if words else []
    return commands


COMMANDS = readme_commands()


def test_the_readme_says_how_to_begin_and_how_to_test():
    assert ["./reproduce.sh", "table1"] in COMMANDS
    assert ["./reproduce.sh", "test"] in COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_of_the_readme(words, capsys):
    tool, *arguments = words
    if tool in ("./reproduce.sh", "bctlib"):
        request = parse(arguments)  # raises on any word that is not understood
        if request.command in ("help", "list", "plan"):
            assert main.main(arguments) == 0
            assert capsys.readouterr().out.strip()
    elif tool == "papermill":
        notebook = PROJECT / arguments[0]
        for position in [at for at, word in enumerate(arguments) if word == "-p"]:
            name, value = arguments[position + 1 : position + 3]
            parse_value(notebook, read_defaults(notebook), name, value)
    elif tool in ("python", "python3") and arguments[0] == "-m":
        assert find_spec(arguments[1]), f"no module {arguments[1]}"
    elif tool == "torchrun":
        started = torchrun.parse_args(arguments)
        assert started.module and started.training_script == "bctlib.experiments.train_models"
        assert train_models.parser().parse_args(started.training_script_args).models
    else:
        assert tool in KNOWN_TOOLS, f"the README uses {tool}"
