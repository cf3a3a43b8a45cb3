"""The `bctlib` command, for your own system: `bctlib` names them, and each has --help."""

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bctlib.base.errors import BctError, unknown

COMMANDS = {
    "train": "a new model on your own images, compatible with your old one",
    "embed": "the embedding of each image of a folder or list",
    "check-index": "whether a model made the vectors of an index",
    "align": "a map from a new model's features into the old space, without training",
    "evaluate": "accuracy of features, by the protocols of benchmarks or on your own lists",
    "backfill-order": "which items of an index to embed anew first",
    "report": "whether to deploy a new model without backfill, as a page",
}
_MODULES = {
    "train": "bctlib.upgrade.train.command",
    "embed": "bctlib.upgrade.embed",
    "check-index": "bctlib.upgrade.check_index",
    "align": "bctlib.upgrade.align.command",
    "evaluate": "bctlib.upgrade.evaluate.command",
    "backfill-order": "bctlib.upgrade.backfill_order",
    "report": "bctlib.upgrade.report.command",
}
EXTRA = {
    "PIL": "pillow", "faiss": "faiss-cpu", "filelock": "filelock", "jinja2": "jinja2", "matplotlib": "matplotlib",
    "pandas": "pandas", "platformdirs": "platformdirs", "scipy": "scipy", "torchvision": "torchvision", "tqdm": "tqdm",
}  # fmt: skip
"""The packages of the extra `bctlib[upgrade]`, by the name of their module."""
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
        with _missing_packages_named(words[0]):
            return importlib.import_module(_MODULES[words[0]]).main(words[1:])
    except BctError as error:
        print(f"bctlib: {error}", file=sys.stderr)
        return error.exit_code


@contextmanager
def _missing_packages_named(command: str) -> Iterator[None]:
    """Turn the failed import of a package that only the extra brings into one sentence (BctError)."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        if module not in EXTRA:
            raise
        raise BctError(
            f"bctlib {command} needs the package {EXTRA[module]}, which is not installed: pip install 'bctlib[upgrade]'"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
