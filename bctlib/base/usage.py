"""What is said of words that the command line does not know."""

import difflib
from collections.abc import Sequence

from bctlib.base.errors import UsageError


def unknown(what: str, word: str, known: Sequence[str]) -> UsageError:
    """The error for an unknown word, with the nearest known ones."""
    nearest = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(known) or 'none'}"
    return UsageError(f"unknown {what} {word!r}; {hint}")
