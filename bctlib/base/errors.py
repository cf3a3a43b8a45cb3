"""The errors that a user is meant to read, and the hint for a word that is not known."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence


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
    """The error for an unknown word, with the nearest known ones, or all of them where none is near."""
    hint = did_you_mean(word, known) or f"; known: {', '.join(known) or 'none'}"
    return UsageError(f"unknown {what} {word!r}{hint}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest known ones, or nothing where none is near."""
    nearest = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
