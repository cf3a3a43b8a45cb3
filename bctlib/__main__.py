"""The `bctlib` command, for your own system: `bctlib train | embed | align | evaluate | report`, each with --help."""

import importlib
import importlib.metadata
import sys

from bctlib.base.errors import BctError, unknown

COMMANDS = {
    "train": "a new model on your own images, compatible with your old one",
    "embed": "the embedding of each image of a folder or list",
    "align": "a map from a new model's features into the old space, without training",
    "evaluate": "the benchmarks' protocols, or a search of your own, on features",
    "report": "whether to deploy a new model without backfill, as a page",
}
_MODULES = {
    "train": "bctlib.upgrade.train.command",
    "embed": "bctlib.upgrade.embed",
    "align": "bctlib.upgrade.align.command",
    "evaluate": "bctlib.upgrade.evaluate.command",
    "report": "bctlib.upgrade.report.command",
}
_WIDTH = max(map(len, COMMANDS))
HELP = f"""\
usage: bctlib COMMAND [OPTIONS]

{chr(10).join(f"  {name:<{_WIDTH}}  {about}" for name, about in COMMANDS.items())}

bctlib COMMAND --help explains its options and files. The tables of the paper are made in a checkout, by ./reproduce.sh.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first word names and give its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if words else 2
    if words[0] == "--version":
        print(importlib.metadata.version("bctlib"))
        return 0
    try:
        if words[0] not in COMMANDS:
            raise unknown("command", words[0], list(COMMANDS))
        try:
            command = importlib.import_module(_MODULES[words[0]])
        except ModuleNotFoundError as error:
            if error.name and error.name.split(".")[0] == "bctlib":
                raise
            raise BctError(
                f"bctlib {words[0]} needs the package {error.name}, which is not installed: "
                "pip install 'bctlib[upgrade]'"
            ) from error
    except BctError as error:
        print(f"bctlib: {error}", file=sys.stderr)
        return error.exit_code
    return command.main(words[1:])


if __name__ == "__main__":
    sys.exit(main())
