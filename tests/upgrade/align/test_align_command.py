"""`bctlib align` end to end, the page's example, and the sentence for each bad input."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from feature_pairs import pairs, rotation, unit
from pages import blocks

from bctlib.base.locations import PROJECT
from bctlib.data.desk_features import features_folder
from bctlib.upgrade.align import Map, command
from companion.results import load_rows

IDENTITIES = np.repeat(np.arange(60), 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Features of both models of training images and of queries, good and bad, in one folder."""
    path = tmp_path_factory.mktemp("align")
    z, o = pairs(600, 16, 12, noise=0.1)
    for name, rows in (("v2", z), ("v1", o), ("queries", z[:50]), ("old_queries", o[:50]), ("head", o[::20])):
        np.save(path / f"{name}.npy", rows.astype(np.float32))
    np.save(path / "held.npy", np.arange(100))
    np.save(path / "short.npy", o[:-1])
    z[5] = np.nan
    np.save(path / "nan.npy", z)
    (path / "labels.txt").write_text("".join(f"id{each}\n" for each in IDENTITIES))
    (path / "text.npy").write_text("no features\n")
    (path / "folder").mkdir()
    for kind in ("ridge", "midpoint"):
        words = f"--new {path}/v2.npy --old {path}/v1.npy --kind {kind} --out {path}/{kind}.safetensors"
        assert command.main(words.split()) == 0
    return path


FIT = "--new {f}/v2.npy --old {f}/v1.npy "
APPLY = "--apply {f}/ridge.safetensors --features {f}/queries.npy "


def run(folder, text, out) -> int:
    return command.main([*text.format(f=folder).split(), "--out", str(out)])


def test_a_map_is_fitted_and_applied(folder, tmp_path, capsys):
    out, mapped = tmp_path / "deep" / "map.safetensors", tmp_path / "mapped.npy"
    assert run(folder, FIT + "--identities {f}/labels.txt", out) == 0
    said = capsys.readouterr().out
    assert "ridge map from 'v2' (16 dimensions) to 'v1' (12), 600 pairs\nstrength " in said
    assert "chosen on 60 of 600 pairs, 0.1 of the identities drawn with seed 0" in said
    text = APPLY.replace("{f}/ridge.safetensors", str(out)) + "--new-id v2 --old-id v1"
    assert run(folder, text, mapped) == 0
    assert f"50 features of 'v2' in the space of 'v1', written to {mapped}" in capsys.readouterr().out
    rows = np.load(mapped)
    assert rows.shape == (50, 12) and rows.dtype == np.float32
    assert (rows == Map.load(out).apply(folder / "queries.npy", "v2")).all()
    assert np.einsum("ij,ij->i", unit(rows), np.load(folder / "old_queries.npy")).mean() > 0.9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FIT + "--kind orthogonal", "orthogonal map"),
        (FIT + "--kind ridge --strength 0.1", "strength 0.1, given"),
        (FIT + "--kind diagonal --held-out {f}/held.npy", "chosen on 100 of 600 pairs, given by their rows"),
        (FIT + "--kind low-rank --share 0.5 --seed 3", "0.5 of the pairs drawn with seed 3"),
        (FIT + "--kind lambda-orthogonal --strength inf", "strength inf, given"),
        (FIT + "--kind midpoint --of orthogonal --weight 0.4", "midpoint map"),
        (FIT + "--kind span-filter --head {f}/head.npy", "chosen on all 600 pairs"),
        ("--kind span-filter --head {f}/head.npy --strength 0.1 --new-id b --old-id a", "from 'b' (12 dim"),
        (FIT + "--new-id resnet50 --old-id resnet18", "from 'resnet50' (16 dimensions) to 'resnet18' (12)"),
    ],
)
def test_every_kind_and_option(folder, tmp_path, capsys, text, said):
    out = tmp_path / "map.safetensors"
    assert run(folder, text, out) == 0
    assert said in capsys.readouterr().out and Map.load(out).digest


def test_a_midpoint_is_applied_with_the_old_queries(folder, tmp_path):
    text = "--apply {f}/midpoint.safetensors --features {f}/queries.npy --new-id v2 --old-queries {f}/old_queries.npy"
    assert run(folder, text, tmp_path / "mapped.npy") == 0
    assert np.load(tmp_path / "mapped.npy").shape == (50, 12)


@pytest.mark.parametrize(
    ("text", "name", "code", "said"),
    [
        (APPLY + "--new-id v1", "m.npy", 1, "leads from 'v2' to 'v1' and not back"),
        (APPLY + "--new-id v2 --old-id v0", "m.npy", 1, "a gallery of 'v0' cannot be searched through it"),
        (APPLY, "m.npy", 2, "--new-id is missing: --apply expects the id of the model that made the features"),
        ("--apply {f}/ridge.safetensors --new-id v2", "m.npy", 2, "--features is missing: --apply expects"),
        (APPLY.replace("queries", "v1") + "--new-id v2", "m.npy", 1, "v1.npy has 12 dimensions: this map expects 16"),
        (APPLY.replace("queries", "nan") + "--new-id v2", "m.npy", 1, "nan.npy: row 5 holds NaN"),
        (APPLY.replace("queries", "gone") + "--new-id v2", "m.npy", 1, "cannot read"),
        (APPLY.replace("ridge", "gone") + "--new-id v2", "m.npy", 1, "gone.safetensors is not there"),
        (APPLY.replace("ridge", "midpoint") + "--new-id v2", "m.npy", 1, "a midpoint map needs old_queries"),
        (APPLY + "--new-id v2 --kind ridge", "m.npy", 2, "--kind is for fitting a map: --apply was given"),
        (APPLY + "--new-id v2", "m.safetensors", 2, "expected the name of a file that ends in .npy"),
        (FIT + "--features {f}/queries.npy", "m.safetensors", 2, "--features is for applying one: --apply was not"),
        (FIT, "m.npy", 2, "expected the name of a file that ends in .safetensors"),
        ("--new {f}/v2.npy", "m.safetensors", 2, "--old is missing: expected features of both models, or --apply"),
        ("--kind span-filter --strength 1 --head {f}/head.npy", "m.safetensors", 2, "--new-id is missing"),
        (FIT.replace("v1", "short"), "m.safetensors", 1, "short.npy has 599 rows: expected 600, one for each row of"),
        (FIT.replace("v2", "nan"), "m.safetensors", 1, "nan.npy: row 5 holds NaN"),
        (FIT.replace("v2", "text"), "m.safetensors", 1, "text.npy is no .npy file"),
        (FIT + "--kind rotation", "m.safetensors", 2, "invalid choice: 'rotation'"),
        (FIT + "--strength much", "m.safetensors", 2, "invalid float value: 'much'"),
        (FIT + "--seed -1", "m.safetensors", 2, "'-1' is no number from 0 on"),
        (FIT + "--new-id v1", "m.safetensors", 1, "new and old model have the same id 'v1'"),
        (FIT, "file/m.safetensors", 1, "cannot write into"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(folder, tmp_path, capsys, text, name, code, said):
    (tmp_path / "file").touch()
    assert run(folder, text, tmp_path / name) == code
    captured = capsys.readouterr()
    error = captured.err.splitlines()
    assert len(error) == 1 and error[0].startswith("bctlib align: ") and said in error[0] and not captured.out
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_as_a_process_and_in_the_list_of_commands(folder, tmp_path):
    words = [sys.executable, "-m", "bctlib", "align", *FIT.format(f=folder).split()]
    done = subprocess.run(
        [*words, "--out", str(tmp_path / "map.safetensors")], cwd=PROJECT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and not done.stderr and "ridge map from 'v2'" in done.stdout
    done = subprocess.run([sys.executable, "-m", "bctlib"], cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert re.search(r"^  align +a map from", done.stdout, re.MULTILINE)


def test_the_page_in_python(tmp_path, monkeypatch):
    block, _ = blocks("docs/align.md", "python")
    monkeypatch.chdir(tmp_path)
    o = np.random.default_rng(0).normal(size=(600, 12)).astype(np.float32)
    z = (o @ rotation(12)).astype(np.float32)
    for name, rows in (("v2", z), ("v1", o), ("v2_queries", z[:20])):
        np.save(f"{name}.npy", rows)
    (tmp_path / "v2.labels.txt").write_text("".join(f"id{each}\n" for each in IDENTITIES))
    names = {}
    exec(block, names)
    assert np.abs(names["queries"] - o[:20]).max() < 0.01
    assert json.loads(json.dumps(names["made"].digest))


@pytest.mark.skipif(not features_folder().is_dir(), reason="this checkout ships no features")
def test_the_example_of_the_page_has_the_numbers_of_notebook_08(capsys):
    """Of a rotation, which notebook 08 fits to ten times as many images."""
    _, example = blocks("docs/align.md", "python")
    exec(example, {})
    as_it_is, mapped, by_old = map(float, capsys.readouterr().out.split())
    rows = load_rows("desk", "maps").query("seed == 0 and gallery_model == 'old' and operating_point == '0.0001'")
    at = rows.set_index(["query_model", "protocol"])["value"] / 100
    assert as_it_is == pytest.approx(at["new*", "verification"], abs=1e-3)
    assert mapped == pytest.approx(at["new*", "verification, orthogonal"], abs=5e-3)
    assert by_old == pytest.approx(at["old", "verification"], abs=1e-3)
