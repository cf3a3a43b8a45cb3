"""The one reader of users' text files: UTF-8, with or without a byte-order mark.

Only `\\n` and `\\r\\n` end a line. Python's `splitlines` also splits at eight other characters, such as U+2028, which
may occur in names.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from bctlib.base.errors import BctError

MARK = b"\xef\xbb\xbf"
"""What Notepad and Excel write in front of UTF-8."""
_STRANGE = re.compile("[\0\r\ufeff]")
_STRANGERS = {
    "\0": "a NUL character, as UTF-16 has them", "\r": "a carriage return in its middle",
    "\ufeff": "a byte-order mark, which belongs at the beginning of a file only",
}  # fmt: skip
_WORD = re.compile(r"[^ \t]+")
_LABELLED = re.compile(r"(.*[^ \t])[ \t]+([^ \t]+)", re.DOTALL)


def text_lines(path: Path | str, expected: str = "text") -> Iterator[str]:
    """Each line without its end. expected: what the file should hold, said in messages.

    Raises BctError naming the file when it cannot be read or is not UTF-8, and naming a line that holds a NUL
    character, a carriage return that ends no line, or a byte-order mark that is not the file's first character.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                text = line.removesuffix("\n").removesuffix("\r")
                if found := _STRANGE.search(text):
                    raise BctError(f"{path}, line {number}: holds {_STRANGERS[found[0]]}; expected {expected} in UTF-8")
                yield text
    except UnicodeDecodeError:
        raise BctError(f"{path} is no text file: expected {expected} in UTF-8") from None
    except OSError as error:
        raise BctError(f"cannot read {path}: {error.strerror or error}") from error


def rows_of_text(path: Path | str, expected: str = "CSV") -> Iterator[str]:
    """The same lines for a reader of CSV, which wants to see their ends: a quoted field may go on in the next line."""
    return (f"{line}\n" for line in text_lines(path, expected))


def plain_text(path: Path) -> bytes | None:
    """The whole file for a parser of bytes, without the mark and with `\\n` at the end of lines.

    None where it holds a character that `text_lines` refuses: that one names the line. Raises OSError.
    """
    content = path.read_bytes().removeprefix(MARK).replace(b"\r\n", b"\n")
    return None if b"\0" in content or b"\r" in content or MARK in content else content


def words_of(line: str) -> list[str]:
    """What stands between the blanks and tabs of a line; other white space may be part of a name."""
    return _WORD.findall(line)


def path_and_label(line: str) -> list[str]:
    """The path and the label of a line, its last word; fewer than two where it has no blank. A path may hold blanks."""
    found = _LABELLED.fullmatch(line.strip())
    return [found[1], found[2]] if found else [line.strip()]
