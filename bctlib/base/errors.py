"""The one error that a user is meant to read."""

import contextlib
from collections.abc import Iterator


class BctError(Exception):
    """Bad input, damaged data or an impossible request, said in one sentence.

    The sentence names the file, line or parameter and what was expected. Command lines print it without a
    traceback and exit with `exit_code`.
    """

    def __init__(self, sentence: str, exit_code: int = 1):
        super().__init__(sentence)
        self.exit_code = exit_code


class UsageError(BctError):
    """A request that cannot be understood (unknown target, scale, parameter): exit code 2, nothing was run."""

    def __init__(self, sentence: str):
        super().__init__(sentence, exit_code=2)


class Diverged(BctError):
    """A training whose loss is no number any more: an outcome of that recipe, not a fault of the data or the code."""


@contextlib.contextmanager
def as_user_error() -> Iterator[None]:
    """A ValueError of the losses, methods or metrics, which know nothing of BctError, becomes one."""
    try:
        yield
    except ValueError as error:
        raise BctError(str(error)) from error
