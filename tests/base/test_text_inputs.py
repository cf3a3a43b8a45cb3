"""Text that people hand over: identities are compared as text, and every file is read by one reader."""

import numpy as np
import pytest
from text_readers import READERS, text_readers

from bctlib.base.errors import BctError
from bctlib.base.text_lines import path_and_label, text_lines
from bctlib.data.photos.class_names import read_lines
from bctlib.metrics.identification import search
from bctlib.upgrade.evaluate import evaluate_search
from bctlib.upgrade.evaluate.inputs import of_one_kind, read_identities, read_pairs
from bctlib.upgrade.report.inputs import open_inputs


def identities(path, text: str) -> np.ndarray:
    path.write_text(text)
    return read_identities("ids", path)[0]


def test_identities_of_digits_are_text(tmp_path):
    assert identities(tmp_path / "a.txt", "1\n01\n001\n-0\n").tolist() == ["1", "01", "001", "-0"]
    np.save(tmp_path / "b.npy", np.array([1, 900]))
    assert read_identities("ids", tmp_path / "b.npy")[0].tolist() == [1, 900]


@pytest.mark.parametrize("others", ["9999", "unknown"])
def test_what_other_lines_hold_changes_no_identity(tmp_path, others):
    """Four-digit identities, half of them with a leading zero; one line of letters used to take the zeros away."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16))
    names = [f"{number:04d}" for number in np.linspace(900, 1100, 40).astype(int)]
    gallery, query = (centres + 0.1 * rng.normal(size=centres.shape) for _ in range(2))
    (tmp_path / "g.txt").write_text("\n".join(names))
    (tmp_path / "q.txt").write_text("\n".join(names + [others] * 5))
    features = np.vstack([query, rng.normal(size=(5, 16))]).astype(np.float32)
    wanted, enrolled = tmp_path / "q.txt", tmp_path / "g.txt"
    report = evaluate_search(features, gallery.astype(np.float32), wanted, enrolled, fpir=(0.2,), ranks=(1,))
    assert [(each.value, each.n_positives) for each in report.measurements] == [(1.0, 40), (1.0, 40)]


def test_classes_of_a_report_are_text(tmp_path):
    (tmp_path / "labels.txt").write_text("7\n7\n07\n07\n")
    features = np.eye(4, dtype=np.float32)
    inputs = open_inputs(features, features, tmp_path / "labels.txt")
    assert inputs.classes.tolist() == ["07", "7"] and inputs.query_counts.tolist() == [2, 2]


def test_integers_meet_text_as_text_but_for_leading_zeros():
    numbers, names = np.array([7, 900]), ("q.npy", "g.txt")
    assert of_one_kind(numbers, np.array(["7", "x"]), names)[0].tolist() == ["7", "900"]
    for given, order in (
        ((numbers, np.array(["7", "0900"])), names),
        ((np.array(["7", "0900"]), numbers), names[::-1]),
    ):
        with pytest.raises(BctError, match="g.txt holds '0900' and q.npy integers, which have no leading zeros"):
            of_one_kind(*given, order)


def test_large_integers_of_two_types_stay_apart():
    signed, unsigned = np.array([2**60 + 1, 5]), np.array([2**60, 5], np.uint64)
    wanted, enrolled = of_one_kind(signed, unsigned, ("q", "g"))
    assert np.isin(wanted, enrolled).tolist() == [False, True]
    assert search(np.eye(2), signed, np.eye(2), unsigned).mated.tolist() == [False, True]


@pytest.fixture
def reader(tmp_path, monkeypatch, request):
    """The valid file and the reader of one of READERS."""
    for name in ("STORE", "RESULTS"):
        monkeypatch.setenv(f"BCT_{name}", str(tmp_path / name.lower()))
    readers = text_readers(tmp_path)
    assert tuple(readers) == READERS
    return readers[request.param]


@pytest.mark.parametrize("reader", READERS, indirect=True)
def test_a_mark_and_ends_of_lines_change_nothing(reader):
    path, read = reader
    plain, expected = path.read_bytes(), read(path)
    for content in (
        b"\xef\xbb\xbf" + plain,
        plain.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n"),
        plain.removesuffix(b"\n"),
    ):
        path.write_bytes(content)
        assert read(path) == expected


@pytest.mark.parametrize("reader", [name for name in READERS if name not in ("pairs", "integers")], indirect=True)
@pytest.mark.parametrize(
    ("strange", "said"),
    [
        (b"\xef\xbb\xbf", "line 2: holds a byte-order mark, which belongs at the beginning of a file only; expected"),
        (b"\r", "line 2: holds a carriage return in its middle; expected"),
        (b"\0", "line 2: holds a NUL character, as UTF-16 has them; expected"),
        (b"\xff", "is no text file: expected"),
    ],
)
def test_characters_that_no_line_has_are_refused_by_line(reader, strange, said):
    path, read = reader
    first, second = path.read_bytes().split(b"\n")[:2]
    path.write_bytes(path.read_bytes().replace(second, strange + second, 1))
    with pytest.raises(BctError) as error:
        read(path)
    assert str(path) in str(error.value) and said in str(error.value) and str(error.value).isprintable()


def test_a_mark_among_integers_is_refused_by_line(tmp_path):
    (tmp_path / "pairs.txt").write_bytes(b"0 1 1\n\xef\xbb\xbf3 4 0\n")
    with pytest.raises(BctError, match=r"pairs.txt, line 2: query row is '\\ufeff3', expected an integer"):
        read_pairs(tmp_path / "pairs.txt", 4, 5)
    (tmp_path / "pairs.txt").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(BctError, match="pairs.txt is empty"):
        read_pairs(tmp_path / "pairs.txt", 4, 5)


@pytest.mark.parametrize("mark", "\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_only_line_feeds_end_a_line(tmp_path, mark):
    names = [f"an{mark}na", "bert", f"an{mark}na"]
    path = tmp_path / "list.txt"
    path.write_bytes("\r\n".join(names).encode())
    assert list(text_lines(path)) == names
    assert read_identities("ids", path)[0].tolist() == names
    assert path_and_label(f"a{mark} b.jpg \t c{mark}d") == [f"a{mark} b.jpg", f"c{mark}d"]


def test_a_label_file_with_a_mark_changes_no_measure(tmp_path):
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(12), 4)
    features = (rng.normal(size=(12, 8))[classes] + 0.5 * rng.normal(size=(48, 8))).astype(np.float32)
    text = "".join(f"class{number}\n" for number in classes)
    (tmp_path / "labels.txt").write_text(text, encoding="utf-8-sig")
    inputs = open_inputs(features, features, tmp_path / "labels.txt")
    assert inputs.classes.tolist() == sorted({f"class{number}" for number in classes}) and inputs.mated.all()


@pytest.mark.parametrize("line", ["a\u00a0", "\u3000a"])
def test_a_blank_that_nobody_sees_is_named(tmp_path, line):
    (tmp_path / "labels.txt").write_text(f"a\n{line}\n", encoding="utf-8")
    with pytest.raises(
        BctError, match=r"labels\.txt, line 2: begins or ends with a blank that is no space or tab \(U\+"
    ):
        read_lines(tmp_path / "labels.txt", "an identity")
