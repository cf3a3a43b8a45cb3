"""Valid names of classes, and the text files that hold them.

The files: one name per line, the class of each row of an array, and old names with their new ones.
"""

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from bctlib.base import progress
from bctlib.base.errors import BctError
from bctlib.base.text_lines import text_lines, words_of
from bctlib.data.photos.files import is_image_name

# What macOS does not decompose in the names of files: letters that look different, and kanji among them.
_COMPOSABLE = re.compile("[^\u2000-\u2fff\uf900-\ufaff\U0002f800-\U0002faff]+")


def check_line(text: str, what: str) -> None:
    """Raises BctError unless a line of a text file can hold `text` and give it back. what: the first words said."""
    if text.isprintable() and text == text.strip():
        return
    shown, wrong = repr(text), ""
    if any("\ud800" <= character <= "\udfff" for character in text):  # how Python holds bytes that are not UTF-8
        shown, wrong = repr(os.fsencode(text))[1:], "is not UTF-8"
    elif text.splitlines() != [text]:
        wrong = "holds the end of a line"
    elif text != text.strip():
        wrong = "begins or ends with a blank"
    elif "\0" in text or "\ufeff" in text:
        wrong = "holds a NUL character or a byte-order mark"
    if wrong:
        raise BctError(f"{what} {shown} {wrong}: expected one that a line of a UTF-8 file can hold, so rename it")


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): macOS hands out `e` and an accent where others have one character."""
    return name if name.isascii() else _COMPOSABLE.sub(lambda part: unicodedata.normalize("NFC", part[0]), name)


def one_form(names: Iterable[str], source: str) -> list[str]:
    """All names `composed`, so that both forms of a name are one. source: where they are, said if any is changed."""
    given = list(names)
    made = [composed(name) for name in given]
    changed = {old: new for old, new in zip(given, made, strict=True) if old != new}
    if changed:
        twice = set(changed.values()) & set(given)
        also = f"; in both forms, each as one name: {len(twice):,}" if twice else ""
        progress.say(
            f"{source}: names in Unicode's decomposed form (NFD) count as those in the composed form (NFC): "
            f"{len(changed):,}, such as {min(changed.values())!r}{also}"
        )
    return made


def class_names(names: Iterable[str], source: str) -> list[str]:
    """Names of classes in `one_form`. Raises BctError naming source and name where `check_line` refuses one."""
    names = list(names)
    for name in dict.fromkeys(names):
        check_line(name, f"{source}: the class name")
    return one_form(names, source)


def read_lines(path: Path | str, what: str) -> list[str]:
    """The lines of a text file, without spaces and tabs around them. what: each line holds one, said in messages.

    Raises BctError as `text_lines` does, naming a file that is empty, and naming a line that is empty or begins or ends
    with another blank, such as a no-break space: nobody sees that it makes another name.
    """
    lines = [line.strip(" \t") for line in text_lines(path, f"{what} on each line")]
    for number, line in enumerate(lines, 1):
        if line != line.strip():
            blank = line[0] if line[0].isspace() else line[-1]
            raise BctError(
                f"{path}, line {number}: begins or ends with a blank that is no space or tab (U+{ord(blank):04X}): "
                f"expected {what} alone"
            )
    if not lines:
        raise BctError(f"{path} is empty: expected {what} on each line")
    if "" in lines:
        raise BctError(f"{path}, line {lines.index('') + 1}: is empty, expected {what}")
    return lines


def read_class_names(path: Path | str, rows: int, of: str) -> tuple[str, ...]:
    """The names of a classifier's classes, one on each line, in the order of its rows.

    rows: how many it has; of: what messages call the classifier. Raises BctError naming the file for another number
    of lines, and naming the line of a name that occurs twice.
    """
    names = one_form(read_lines(path, "the name of a class"), str(path))
    if len(names) != rows:
        raise BctError(f"{path} has {len(names):,} lines: expected {rows:,}, one for each row of {of}")
    seen: set[str] = set()
    for line, name in enumerate(names, 1):
        if name in seen:
            raise BctError(f"{path}, line {line}: the class {name!r} occurs twice, expected each once")
        seen.add(name)
    return tuple(names)


def read_row_classes(path: Path | str, rows: int, of: str) -> list[str]:
    """The class of each row of an array: a name on each line, or the path of the row's image.

    If all lines are paths of images, a row's class is the name of the folder that holds its image. rows, of: as above.
    Raises BctError naming the file for another number of lines.
    """
    lines = read_lines(path, "a class or the path of an image")
    if len(lines) != rows:
        raise BctError(f"{path} has {len(lines):,} lines: expected {rows:,}, one for each row of {of}")
    paths = [Path(line.replace("\\", "/")) for line in lines]
    if all(is_image_name(each.name) and each.parent.name for each in paths):
        lines = [each.parent.name for each in paths]
    return one_form(lines, str(path))


def read_class_map(path: Path | str) -> dict[str, str]:
    """New name by old name, from lines of `old new`; with a tab between them, names may hold blanks.

    Raises BctError naming the line that has not two fields or whose old or new name came before.
    """
    renamed: dict[str, str] = {}
    taken: set[str] = set()
    for line, text in enumerate(read_lines(path, "an old and a new name"), 1):
        words = [word.strip() for word in text.split("\t")] if "\t" in text else words_of(text)
        if len(words) != 2 or not all(words):
            expected = "an old and a new name, with a tab between them if they hold blanks"
            raise BctError(f"{path}, line {line}: expected {expected}, found {text!r}")
        old, new = map(composed, words)
        if old in renamed or new in taken:
            twice = old if old in renamed else new
            raise BctError(f"{path}, line {line}: {twice!r} occurs twice, expected each name once")
        renamed[old] = new
        taken.add(new)
    return renamed
