"""Text that people hand over: identities are compared as text, whatever they look like."""

import numpy as np
import pytest

from bctlib.errors import BctError
from bctlib.evaluation import evaluate_search
from bctlib.evaluation.label_files import of_one_kind, read_identities
from bctlib.judging.inputs import open_inputs
from bctlib.metrics.identification import search


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
