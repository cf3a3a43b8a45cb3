"""The errors that are shown to the user, and the suggestion for an unknown word."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence


class BctError(Exception):
    """Bad input, damaged data or an impossible request, described in one sentence.

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
    """The loss of a training became NaN or infinite: an outcome of the recipe, not an error in the data or the code."""


@contextlib.contextmanager
def as_user_error() -> Iterator[None]:
    """Turn a ValueError of the losses, methods or metrics, which do not use BctError, into a BctError."""
    try:
        yield
    except ValueError as error:
        raise BctError(str(error)) from error


def unknown(what: str, word: str, known: Sequence[str]) -> UsageError:
    """The error for an unknown word, with the most similar known words, or all of them if none is similar."""
    hint = did_you_mean(word, known) or f"; known: {', '.join(known) or 'none'}"
    return UsageError(f"unknown {what} {word!r}{hint}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the most similar known words, or "" if none is similar."""
    nearest = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
