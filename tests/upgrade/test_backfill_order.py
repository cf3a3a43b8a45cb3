"""`bctlib backfill-order`: the order by its definition, the area by brute force, and the sentence for bad input."""

import numpy as np
import pytest

from bctlib.metrics import blocks
from bctlib.upgrade import backfill_order as command
from bctlib.upgrade.backfill_order import backfill_order
from bctlib.upgrade.serve.item_order import area_under, item_searches, nearest_stranger

RNG = np.random.default_rng(0)
CLASSES = np.repeat(np.arange(15), 3)
CENTRES = RNG.normal(size=(20, 8))
WANTED = np.arange(40) % 20  # classes 15 to 19 are in no item
OLD = (CENTRES[CLASSES] + 0.9 * RNG.normal(size=(45, 8)))[:, :6].astype(np.float32)
NEW = (CENTRES[CLASSES] + 0.2 * RNG.normal(size=(45, 8))).astype(np.float32)
QUERY = (CENTRES[WANTED] + 0.3 * RNG.normal(size=(40, 8))).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [None, 1 << 6])
def test_the_nearest_stranger_decides_and_searches_come_first(block, monkeypatch):
    if block:
        monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)
    cosines = np.where(CLASSES[:, None] == CLASSES, -np.inf, unit(OLD) @ unit(OLD).T).max(axis=1)
    np.testing.assert_allclose(nearest_stranger(OLD, CLASSES), cosines, atol=1e-6)
    rows = backfill_order(OLD, CLASSES).rows
    assert sorted(rows) == list(range(45)) and (np.diff(cosines[rows]) <= 1e-6).all()
    counts = np.arange(45) % 4
    rows = backfill_order(OLD, CLASSES, counts).rows
    assert (np.diff(counts[rows]) <= 0).all()
    for count in range(4):
        assert (np.diff(cosines[rows][counts[rows] == count]) <= 1e-6).all()


def test_without_labels_every_other_item_is_a_stranger():
    cosines = unit(OLD) @ unit(OLD).T
    np.fill_diagonal(cosines, -np.inf)
    assert (np.diff(cosines.max(axis=1)[backfill_order(OLD).rows]) <= 1e-6).all()


def rank_1_of_items(order, share):
    """A gallery whose first items of the order have new vectors, by the full matrices."""
    is_new = np.isin(np.arange(45), order[: round(share * 45)])
    scores = np.where(is_new, unit(QUERY) @ unit(NEW).T, unit(QUERY[:, :6]) @ unit(OLD).T)
    same = WANTED[:, None] == CLASSES
    mate, other = (np.where(mask, scores, -np.inf).max(axis=1) for mask in (same, ~same))
    return mate, other, same.any(axis=1)


@pytest.mark.parametrize("points", [2, 10, 60])
def test_the_curve_is_that_of_mixed_galleries_item_by_item(points):
    order = np.random.default_rng(1).permutation(45)
    found = item_searches(QUERY, WANTED, OLD, NEW, CLASSES, order, points)
    for at, share in enumerate(np.linspace(0, 1, points)):
        mate, other, mated = rank_1_of_items(order, share)
        np.testing.assert_allclose(found.mate[:, at], mate, atol=1e-6)
        np.testing.assert_allclose(found.best_other[:, at], other, atol=1e-6)
        np.testing.assert_array_equal(found.mated, mated)


def test_the_area_is_the_mean_accuracy_on_the_way():
    assert area_under(np.array([0, 0.5, 1]), np.array([0.2, 0.6, 0.8])) == pytest.approx(0.55)
    known = {"new_index": NEW, "query_features": QUERY, "query_labels": WANTED}
    found = backfill_order(OLD, CLASSES, **known)
    along, shares = [], np.round(np.linspace(0, 1, 21) * 45) / 45
    for share in shares:
        mate, other, mated = rank_1_of_items(found.rows, share)
        along.append((mate > other)[mated].mean())
    assert found.areas[0] == pytest.approx(np.trapezoid(along, shares))
    assert (found.begin, found.end) == pytest.approx((along[0], along[-1]))
    assert 0 < backfill_order(OLD, CLASSES, fpir=0.3, **known).areas[0] <= 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("order")
    for name, array in (("old", OLD), ("new", NEW), ("query", QUERY), ("short", OLD[:-1])):
        np.save(path / f"{name}.npy", array)
    np.save(path / "nan.npy", np.where(np.arange(45)[:, None] == 7, np.nan, OLD))
    (path / "labels.txt").write_text("".join(f"c{k}\n" for k in CLASSES))
    (path / "wanted.txt").write_text("".join(f"c{k}\n" for k in WANTED))
    (path / "strangers.txt").write_text("x\n" * 40)
    (path / "items.txt").write_text("".join(f"photo {k}.jpg\n" for k in range(45)))
    (path / "counts.txt").write_text("".join(f"{k % 3}\n" for k in range(45)))
    (path / "words.txt").write_text("3\nmany\n" + "1\n" * 43)
    return path


AREA = "--new-index {f}/new.npy --query-features {f}/query.npy --query-labels {f}/wanted.txt"


def test_as_a_command(folder, tmp_path, capsys):
    out = tmp_path / "order.txt"
    words = f"--index {folder}/old.npy --labels {folder}/labels.txt --items {folder}/items.txt --out {out} "
    assert command.main((words + AREA.format(f=folder)).split()) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"45 items, least certain first, written to {out}"
    found = backfill_order(OLD, CLASSES, new_index=NEW, query_features=QUERY, query_labels=WANTED)
    assert said[1] == found.sentence() and said[1].startswith("area under the backfill curve (rank 1): ")
    assert out.read_text().splitlines() == [f"photo {row}.jpg" for row in found.rows]
    assert command.main(f"--index {folder}/old.npy --searches {folder}/counts.txt --out {out}".split()) == 0
    assert [int(row) % 3 for row in out.read_text().split()] == [2] * 15 + [1] * 15 + [0] * 15
    assert "most searched first" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("--index {f}/nan.npy", 1, "nan.npy: row 7 holds NaN"),
        ("--index {f}/absent.npy", 1, "absent.npy"),
        ("--index {f}/short.npy --labels {f}/labels.txt", 1, "labels.txt has 45 entries: expected 44"),
        ("--index {f}/old.npy --searches {f}/words.txt", 1, "words.txt, line 2: expected a number of searches"),
        ("--index {f}/short.npy --searches {f}/counts.txt", 1, "expected 44 numbers of searches"),
        ("--index {f}/short.npy --items {f}/items.txt", 1, "items.txt has 45 lines: expected 44"),
        ("--index {f}/old.npy " + AREA, 2, "labels is missing: the area under the curve takes"),
        ("--index {f}/old.npy --labels {f}/labels.txt --new-index {f}/new.npy", 2, "query_features is missing"),
        ("--index {f}/old.npy --fpir 0.1", 2, "fpir is for the area under the curve"),
        ("--index {f}/old.npy --fpir 2", 2, "'2' is no rate from 0 to 1"),
        ("--index {f}/old.npy --labels {f}/labels.txt " + AREA.replace("new.npy", "short.npy"), 1, "expected 45"),
        ("--index {f}/old.npy --labels {f}/labels.txt " + AREA.replace("new.npy", "old.npy"), 1, "6, 6 and 8 dim"),
        ("--index {f}/old.npy --labels {f}/labels.txt " + AREA.replace("wanted", "strangers"), 1, "no query has one"),
        ("--index {f}/old.npy --out {f}", 2, "is a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(folder, tmp_path, capsys, options, code, said):
    more = "" if "--out" in options else f" --out {tmp_path}/order.txt"
    assert command.main((options.format(f=folder) + more).split()) == code
    captured = capsys.readouterr()
    (error,) = captured.err.splitlines()
    assert error.startswith("bctlib backfill-order: ") and said in error
    assert not captured.out and not (tmp_path / "order.txt").exists()
