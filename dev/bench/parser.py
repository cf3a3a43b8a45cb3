"""The words after `./reproduce.sh bench NAME`."""

import argparse

from bctlib.base.errors import UsageError


class BenchParser(argparse.ArgumentParser):
    """One that raises UsageError, in a sentence, where argparse would print and exit."""

    def __init__(self, name: str, description: str):
        super().__init__(prog=f"./reproduce.sh bench {name}", description=description, allow_abbrev=False)

    def error(self, message: str):
        raise UsageError(f"{message}; see {self.prog} --help")
