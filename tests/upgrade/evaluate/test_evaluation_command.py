"""`bctlib evaluate` end to end on generated files, and the sentence for each bad input."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from ijbc_fixture import market_names, write_ijbc
from pages import blocks

from bctlib.base.locations import PROJECT
from bctlib.data.desk_features import features_folder
from bctlib.upgrade.evaluate import command as evaluate
from bctlib.upgrade.evaluate import inputs
from companion.results import load_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Features of every benchmark, good and bad, in one folder."""
    path = tmp_path_factory.mktemp("evaluate")
    patch = pytest.MonkeyPatch()
    patch.setenv("BCT_STORE", str(path / "store"))
    truth = write_ijbc(path / "meta")
    rng = np.random.default_rng(0)
    new = truth["new"]
    np.save(path / "new.npy", new)
    np.save(path / "old.npy", truth["old"][:, :8].astype(np.float64))
    np.save(path / "short.npy", new[:-1])
    np.save(path / "flat.npy", new[0])
    np.save(path / "empty.npy", new[:, :0])
    np.save(path / "complex.npy", new + 1j)
    np.save(path / "text.npy", new.astype(str))
    np.save(path / "objects.npy", new.astype(object), allow_pickle=True)
    np.savez(path / "archive.npz", new=new)
    nan = new.copy()
    nan[17, 3] = np.nan
    np.save(path / "nan.npy", nan)
    np.save(path / "huge.npy", new.astype(np.float64) * 1e200)
    (path / "pickle.npy").write_bytes(pickle.dumps(new))
    (path / "cut.npy").write_bytes((path / "new.npy").read_bytes()[:-40])
    query, gallery = market_names()
    for name, names in (("query", query), ("gallery", gallery)):
        (path / f"{name}.txt").write_text("\n".join(names) + "\n")
        for model in ("new", "old"):
            np.save(path / f"{model}_{name}.npy", rng.normal(size=(len(names), 8)).astype(np.float32))
    pairs = rng.integers(0, len(new), (300, 3)) % [len(new), len(new), 2]
    np.savetxt(path / "pairs.txt", pairs, fmt="%d")
    np.save(path / "pairs.npy", pairs)
    (path / "bad_row.txt").write_text(f"0 1 1\n0 {len(new)} 0\n")
    (path / "bad_label.txt").write_text("0 1 1\n0 2 2\n")
    (path / "one_label.txt").write_text("0 1 1\n0 2 1\n")
    (path / "names.txt").write_text("not a name\n")
    (path / "query_ids.txt").write_text("".join(f"id{i % 30}\n" for i in range(len(query))))
    (path / "gallery_ids.txt").write_text("".join(f"id{i % 12}\n" for i in range(len(gallery))))
    (path / "strangers.txt").write_text("x\n" * len(query))
    (path / "gap.txt").write_text("x\n\n" * len(query))
    (path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    yield path
    patch.undo()


IJBC = "ijbc --meta {f}/meta --query-features {f}/"
MARKET = "market1501 --query-features {f}/new_query.npy --gallery-features {f}/old_gallery.npy "
NAMES = "--query-names {f}/query.txt --gallery-names {f}/gallery.txt "
PAIRS = "pairs --query-features {f}/new.npy --pairs {f}/"
SEARCH = "search --query-features {f}/new_query.npy --gallery-features {f}/old_gallery.npy --gallery-ids {f}/"
OTHERS = "--old-query-features {f}/old_query.npy --new-gallery-features {f}/new_gallery.npy "


def words(text, folder):
    return text.format(f=folder).split()


@pytest.mark.parametrize(
    ("command", "said", "figures"),
    [
        (IJBC + "new.npy --gallery-features {f}/old.npy --paragon-features {f}/new.npy", "new*/new*", 5),
        (IJBC + "new.npy --rule nearest --far 0.01 --fpir 0.1 --ranks 1", "rule nearest", 4),
        (MARKET + NAMES + OTHERS, "mAP (trapezoid)", 1),
        (PAIRS + "pairs.txt --far 0.1", "TAR@FAR=0.1", 2),
        (PAIRS + "pairs.npy --gallery-features {f}/old.npy --old-query-features {f}/old.npy", "Eq. 2", 2),
        (SEARCH + "gallery_ids.txt --query-ids {f}/query_ids.txt " + OTHERS, "while the gallery is backfilled", 3),
    ],
)
def test_commands_print_and_write(folder, tmp_path, capsys, command, said, figures):
    assert evaluate.main([*words(command, folder), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert said in captured.out and not captured.err
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["measurements"] and all(each["sha256"] for each in content["inputs"])
    assert len(list((tmp_path / "out").glob("*.png"))) == len(list((tmp_path / "out").glob("*.pdf"))) == figures


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (IJBC + "short.npy", 1, "short.npy has 125 rows: expected 126, one for each image of ijbc_face_tid_mid.txt"),
        (IJBC + "nan.npy", 1, "nan.npy: row 17 holds NaN, infinite or overflowing values"),
        (IJBC + "new.npy --gallery-features {f}/nan.npy", 1, "nan.npy: row 17"),
        (IJBC + "huge.npy", 1, "huge.npy: row 0 holds NaN, infinite or overflowing"),
        (IJBC + "flat.npy", 1, "flat.npy holds an array of shape (16,): expected two dimensions"),
        (IJBC + "empty.npy", 1, "empty.npy holds an array of shape (126, 0)"),
        (IJBC + "complex.npy", 1, "complex.npy holds values of type complex64: expected real numbers"),
        (IJBC + "text.npy", 1, "text.npy holds values of type"),
        (IJBC + "objects.npy", 1, "objects.npy holds pickled objects, which are refused"),
        (IJBC + "pickle.npy", 1, "pickle.npy is no .npy file (pickles are refused)"),
        (IJBC + "cut.npy", 1, "cut.npy is cut off or damaged"),
        (IJBC + "archive.npz", 1, "archive.npz is an .npz archive of new"),
        (IJBC + "absent.npy", 1, "absent.npy: No such file"),
        (IJBC + "", 1, "Is a directory"),
        (IJBC + "new.npy --halves --gallery-features {f}/flat.npy", 1, "flat.npy holds an array of shape"),
        ("ijbc --meta {f} --query-features {f}/new.npy", 1, "lacks ijbc_face_tid_mid.txt"),
        ("ijbc --query-features {f}/new.npy", 2, "the following arguments are required: --meta"),
        (IJBC + "new.npy --far 2", 2, "'2' is no rate from 0 to 1"),
        (IJBC + "new.npy --far much", 2, "'much' is no rate"),
        (IJBC + "new.npy --ranks 0", 2, "'0' is no rank from 1 on"),
        (IJBC + "new.npy --rule lax", 2, "invalid choice: 'lax'"),
        (IJBC + "new.npy --out {f}/new.npy", 2, "is a file: expected a folder"),
        ("lfw", 2, "invalid choice: 'lfw'"),
        ("", 2, "required: BENCHMARK"),
        (MARKET, 2, "market1501 needs for the query either --query-names, --query-labels or --root"),
        (MARKET + NAMES + "--root {f}", 2, "market1501 needs for the query either"),
        (MARKET + "--root {f}", 1, "holds no .jpg"),
        (MARKET + "--query-names {f}/names.txt --gallery-names {f}/gallery.txt", 1, "names.txt, line 1: 'not a name'"),
        (MARKET + "--query-names {f}/gallery.txt --gallery-names {f}/gallery.txt", 1, "new_query.npy has 19 rows"),
        (MARKET + "--query-labels {f}/new.npy --gallery-names {f}/gallery.txt", 1, "expected a .npy file of integers"),
        (MARKET + NAMES + "--paragon-query-features {f}/new_query.npy", 2, "the paragon needs both"),
        (PAIRS + "bad_row.txt", 1, "bad_row.txt, line 2: gallery row is 126, expected 0 to 125"),
        (PAIRS + "bad_label.txt", 1, "bad_label.txt, line 2: label is 2, expected 0 to 1"),
        (PAIRS + "one_label.txt", 1, "one_label.txt has 2 genuine pairs (label 1) of 2: expected both labels"),
        (PAIRS + "names.txt", 1, "names.txt, line 1: query row is 'not', expected an integer"),
        (PAIRS + "new.npy", 1, "expected integers [p, 3]"),
        (PAIRS + "absent.txt", 1, "cannot read"),
        (SEARCH + "gap.txt --query-ids {f}/query_ids.txt", 1, "gap.txt, line 2: is empty"),
        (SEARCH + "binary.txt --query-ids {f}/query_ids.txt", 1, "binary.txt is no text file"),
        (SEARCH + "gallery_ids.txt --query-ids {f}/strangers.txt", 1, "nothing can be found"),
        (SEARCH + "gallery_ids.txt --query-ids {f}/gallery_ids.txt", 1, "has 19 rows: expected 78"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(folder, tmp_path, capsys, command, code, said):
    extra = [] if not command or "--out" in command else ["--out", str(tmp_path / "out")]
    assert evaluate.main([*words(command, folder), *extra]) == code
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert not (tmp_path / "out").exists()


def test_the_page_in_python(folder, tmp_path, monkeypatch, capsys):
    ijbc, metrics, _ = blocks("docs/evaluation.md", "python")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "IJBC").mkdir()
    (tmp_path / "IJBC" / "meta").symlink_to(folder / "meta")
    for name, source in (("new", "new"), ("old", "old"), ("paragon", "new")):
        (tmp_path / f"{name}.npy").symlink_to(folder / f"{source}.npy")
    exec(ijbc, {})
    assert "TAR@FAR" in capsys.readouterr().out
    space = {}
    exec(metrics, space)
    assert len(space["tar"]) == 2 and space["tar"][0] >= space["tar"][1] > 0
    compatible, gain = capsys.readouterr().out.split()
    assert compatible == "True" and float(gain) == pytest.approx(0.2)


@pytest.mark.skipif(not features_folder().is_dir(), reason="this checkout ships no features")
def test_the_example_of_the_page_has_the_numbers_of_table_1(capsys):
    *_, example = blocks("docs/evaluation.md", "python")
    exec(example, {})
    tar, tpir = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = load_rows("desk", "table1").query("seed == 0 and protocol == 'verification' and gallery_model == 'old'")
    at = rows[rows["operating_point"] == "0.0001"].set_index("query_model")["value"]
    assert [float(tar[0]), float(tar[2].rstrip(":"))] == pytest.approx([at["new-bct"] / 100, at["old"] / 100], abs=1e-3)
    assert tar[3] == tpir[3] == "True"


def test_the_bad_row_is_found_in_blocks(monkeypatch):
    monkeypatch.setattr(inputs, "BLOCK_ELEMENTS", 8)
    array = np.zeros((9, 4), np.float32)
    assert inputs._first_bad_row(array) is None
    array[7, 1] = np.inf
    assert inputs._first_bad_row(array) == 7


def test_as_a_process(folder):
    command = [sys.executable, "-m", "bctlib.upgrade.evaluate.command", *words(IJBC + "nan.npy", folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("bctlib evaluate: ") and "Traceback" not in done.stderr
