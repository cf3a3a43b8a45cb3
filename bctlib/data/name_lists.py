"""Text files of class names: one on each line, the class of each row of an array, old names with their new ones."""

from pathlib import Path

from bctlib.data.image_files import is_image_name
from bctlib.data.text_lines import text_lines, words_of
from bctlib.errors import BctError


def read_lines(path: Path | str, what: str) -> list[str]:
    """The lines of a text file, without blanks around them. what: each line holds one, said in messages.

    Raises BctError as `text_lines` does, naming a file that is empty, and naming a line that is empty.
    """
    lines = [line.strip() for line in text_lines(path, f"{what} on each line")]
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
    names = read_lines(path, "the name of a class")
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
        return [each.parent.name for each in paths]
    return lines


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
        old, new = words
        if old in renamed or new in taken:
            twice = old if old in renamed else new
            raise BctError(f"{path}, line {line}: {twice!r} occurs twice, expected each name once")
        renamed[old] = new
        taken.add(new)
    return renamed
