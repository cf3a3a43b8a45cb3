"""Whatever names and numbers are in a text file, they come back as they were written, with any ends of lines.

Some hundred inputs each in every run, always the same; `./reproduce.sh test long` tries 10,000 others.
"""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bctlib.base.errors import BctError
from bctlib.base.text_lines import text_lines
from bctlib.data.paper.market1501 import labels_of_names, read_names
from bctlib.data.photos.class_names import check_line, composed, read_class_map, read_class_names
from bctlib.upgrade.evaluate.inputs import read_identities, read_pairs
from bctlib.upgrade.images import images_to_embed

DIGITS = st.text("0123456789", min_size=1, max_size=9)
STRANGE = "\u2028\u2029\x85\v\f\x1c\x1d\x1e\u00a0\u200b\ufeff\0\r\n\u0301\u3099\ufa19"
PLAIN = st.text("ab日e", min_size=1, max_size=3)
NAMES = st.one_of(
    st.text(min_size=1, max_size=12),
    st.text("01٣²１-_.c", min_size=1, max_size=6),
    st.builds("{}{}{}".format, PLAIN, st.sampled_from(STRANGE), PLAIN),
)
FORMS = st.tuples(st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
"""The end of a line, whether a mark comes first, whether the last line has an end."""
FEW, MANY = 100, 10_000


def written(path: Path, lines: list[str], form: tuple[str, bool, bool]) -> Path:
    end, mark, last = form
    text = end.join(lines) + end * last
    path.write_bytes(text.encode("utf-8-sig" if mark else "utf-8"))
    return path


def can_be_written(name: str) -> bool:
    try:
        check_line(name, "name")
    except BctError as error:
        assert str(error).isprintable() and str(error).startswith("name ")
        return False
    return True


def lines_of_any_text(folder: Path):
    @given(st.lists(NAMES, min_size=1, max_size=5), FORMS)
    def check(names, form):
        path = written(folder / "t.txt", names, form)
        text = path.read_bytes().decode().removeprefix("\ufeff")
        expected = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []
        strange = [bool(set(line) & set("\0\r\ufeff")) for line in expected]
        try:
            assert list(text_lines(path)) == expected and not any(strange)
        except BctError as error:
            assert f"t.txt, line {strange.index(True) + 1}: holds" in str(error)

    return check


def names_that_can_be_written(folder: Path):
    @given(st.lists(NAMES.filter(can_be_written), min_size=1, max_size=5, unique_by=composed), FORMS)
    def check(names, form):
        path, expected = written(folder / "n.txt", names, form), [composed(name) for name in names]
        assert read_identities("n", path)[0].tolist() == list(read_class_names(path, len(names), "x")) == expected
        pairs = [f"{name}\t{number}" for number, name in enumerate(names)]
        if "\t" not in "".join(names):
            assert list(read_class_map(written(path, pairs, form))) == expected
        if not set(" \t") & set("".join(names)):
            (folder / "a b.jpg").touch()
            listed = written(folder / "l.txt", [f"a b.jpg {name}" for name in names], form)
            if not any(name.lower().endswith((".jpg", ".png")) for name in names):
                assert images_to_embed(listed).labels == tuple(expected)

    return check


def digits(folder: Path):
    @given(st.lists(DIGITS, min_size=1, max_size=5), FORMS)
    def check(words, form):
        assert read_identities("d", written(folder / "d.txt", words, form))[0].tolist() == words

    return check


def pairs(folder: Path):
    row = st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 1), st.sampled_from(["", "0", "000"]))

    @given(st.lists(row, max_size=5), FORMS)
    def check(rows, form):
        rows = [*rows, (0, 1, 0, ""), (1, 0, 1, "00")]
        path = written(folder / "p.txt", [f"{zeros}{a} {b} {zeros}{label}" for a, b, label, zeros in rows], form)
        columns = read_pairs(path, 4, 5)[:3]
        assert np.array_equal(np.stack(columns, axis=1), np.array(rows, object)[:, :3].astype(int))

    return check


def cameras(folder: Path):
    rest = st.sampled_from(["s1_000451_03.jpg", "_00016460_0.jpg", ".jpg", "_f0046182.jpg", ""])

    @given(
        st.lists(st.tuples(DIGITS, st.text("0123456789", min_size=1, max_size=5), rest), min_size=1, max_size=5), FORMS
    )
    def check(parts, form):
        path = written(folder / "m.txt", [f"{identity}_c{camera}{rest}" for identity, camera, rest in parts], form)
        try:
            labels = labels_of_names(read_names(path), "m.txt")
        except BctError as error:
            first = next(line for line, (_, camera, _) in enumerate(parts, 1) if len(camera) > 3)
            assert str(error).startswith(f"m.txt, line {first}: ")
        else:
            assert labels.identity.tolist() == [int(identity) for identity, _, _ in parts]
            assert labels.camera.tolist() == [int(camera) for _, camera, _ in parts]

    return check


def forms_of_names(folder: Path):
    @given(st.text(max_size=8))
    def check(name):
        """What macOS makes of a name (all but these ranges decomposed) is the same name."""
        kept = "\u2000\u2fff\uf900\ufaff\U0002f800\U0002faff"
        parts = (c if any(a <= c <= b for a, b in zip(kept[::2], kept[1::2], strict=True)) else
                 unicodedata.normalize("NFD", c) for c in name)  # fmt: skip
        assert composed("".join(parts)) == composed(name) == composed(composed(name))

    return check


CHECKS = (lines_of_any_text, names_that_can_be_written, digits, pairs, cameras, forms_of_names)


def run(made: Callable[[Path], Callable], folder: Path, examples: int, always_the_same: bool) -> None:
    options = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    settings(max_examples=examples, derandomize=always_the_same, **options)(made(folder))()


@pytest.mark.parametrize("made", CHECKS)
def test_a_few_texts(made, tmp_path):
    run(made, tmp_path, FEW, always_the_same=True)


@pytest.mark.long
@pytest.mark.parametrize("made", CHECKS)
def test_many_texts(made, tmp_path):
    run(made, tmp_path, MANY, always_the_same=False)
