"""The one error that a user is meant to read.

What is said of words that the command line does not know.
"""

import contextlib
import difflib
from collections.abc import Iterator, Sequence


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


def unknown(what: str, word: str, known: Sequence[str]) -> UsageError:
    """The error for an unknown word, with the nearest known ones."""
    nearest = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(known) or 'none'}"
    return UsageError(f"unknown {what} {word!r}; {hint}")
