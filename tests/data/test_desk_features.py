"""The shipped features give the committed numbers without torch, and a bad file is named in one sentence."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bctlib.base import locations
from bctlib.base.errors import BctError, UsageError
from bctlib.base.locations import PROJECT
from bctlib.data.desk_features import ABOUT, FORMAT, digest_of_features, features_folder, load_desk_features
from bctlib.metrics import tar_at_far
from bctlib.metrics.identification import search, tpir_over_galleries
from bctlib.metrics.verification import verification_scores
from companion.results import load_rows

pytestmark = pytest.mark.skipif(not features_folder().is_dir(), reason="this checkout ships no features")

PAIRS = [("old", "old"), ("new-bct", "old"), ("new-bct-kd", "old"), ("new-bct-sys", "old"), ("new*", "new*")]


@pytest.mark.parametrize(("query", "gallery"), [*PAIRS, ("new*", "old")])
def test_the_accuracies_at_1_to_1_are_those_of_table_1(query, gallery):
    new, old = load_desk_features(query), load_desk_features(gallery)
    scores = verification_scores(*new.first, *old.second)
    rows = load_rows("desk", "table1").query(
        f"seed == 0 and query_model == '{query}' and gallery_model == '{gallery}' and protocol == 'verification'"
    )
    (row,) = rows[rows["operating_point"] == "0.0001"].itertuples()
    assert scores.n_impostors == row.n_behind
    assert 100 * tar_at_far(scores.genuine, scores.impostor, 1e-4, scores.n_impostors) == pytest.approx(
        row.value, abs=0.1
    )


@pytest.mark.parametrize(("query", "gallery"), PAIRS)
def test_the_accuracies_at_1_to_n_are_those_before_rounding(query, gallery):
    """Which the card has from the builder; that they are no numbers of Table 1 is said there."""
    card = (features_folder() / "README.md").read_text(encoding="utf-8")
    (cells,) = [line.split(" | ") for line in card.splitlines() if line.startswith(f"| {query} | {gallery} |")]
    new, old = load_desk_features(query), load_desk_features(gallery)
    found = [search(*new.first, *rows) for rows in old.galleries]
    assert 100 * tpir_over_galleries(found, 1e-2) == pytest.approx(float(cells[4]), abs=0.1)


def test_rows_are_unit_and_the_identities_those_of_the_protocol():
    old, star = load_desk_features("old"), load_desk_features("new-star")
    assert star.model == "new*" and old.training.features.dtype == np.float16
    for rows in (old.first, old.second, old.training, *old.galleries):
        assert np.linalg.norm(rows.features.astype(np.float64), axis=1) == pytest.approx(1, abs=2e-3)
    g1, g2 = (rows.identity for rows in old.galleries)
    assert len({*g1}) == len(g1) and not {*g1} & {*g2} and {*g1} | {*g2} == {*old.first.identity}
    assert not {*old.training.identity} & {*old.first.identity}
    for part in ("first", "second", "training"):
        assert np.array_equal(getattr(old, part).identity, getattr(star, part).identity)


def test_metrics_and_maps_of_them_load_no_torch():
    code = (
        "import sys\n"
        "from bctlib.data.desk_features import load_desk_features\n"
        "old = load_desk_features('old')\n"
        "print({name.partition('.')[0] for name in sys.modules} - {*sys.stdlib_module_names})\n"
        "from bctlib.upgrade.align import fit\n"
        "fit(old.training.features, old.training.features, 'orthogonal', new_id='a', old_id='b')\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n{code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    loaded, torch_is_there = done.stdout.splitlines()
    assert {"bctlib", "numpy", "safetensors"} <= eval(loaded)
    assert not {"torch", "scipy", "pandas", "filelock"} & eval(loaded)
    assert torch_is_there == "False"


def rewritten(path, change) -> None:
    """The shipped file of new-bct after `change(about, arrays)`, saved as `path`."""
    arrays = load_file(features_folder() / "new-bct.safetensors")
    about = {"format": FORMAT, "model": "new-bct", "key": "k", "device": "d"}
    about["digest"] = digest_of_features(about, arrays)
    change(about, arrays)
    save_file(arrays, path, {ABOUT: json.dumps(about)})


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path):
    rewritten(tmp_path / "own.safetensors", lambda about, arrays: None)
    for path in (tmp_path / "own.safetensors", str(tmp_path / "own.safetensors")):
        own, shipped = load_desk_features(path), load_desk_features("new-bct")
        assert own.key == "k" and np.array_equal(own.first.features, shipped.first.features)


def wrong_value(about, arrays):
    arrays["first.features"][5, 3] += np.float16(0.01)


def wrong_identity(about, arrays):
    arrays["training.identity"][0] += 1


def other_model(about, arrays):
    about["model"] = "old"


def other_format(about, arrays):
    about["format"] = "bctlib-map-1"


def part_missing(about, arrays):
    del arrays["training.features"]
    about["digest"] = digest_of_features(about, arrays)


def gallery_marks_missing(about, arrays):
    arrays |= {f"second.{name}": arrays[f"first.{name}"] for name in ("features", "identity")}
    about["digest"] = digest_of_features(about, arrays)


def wrong_shape(about, arrays):
    arrays["first.identity"] = arrays["first.identity"][1:].copy()
    about["digest"] = digest_of_features(about, arrays)


FAULTS = [
    wrong_value, wrong_identity, other_model, other_format, part_missing, gallery_marks_missing, wrong_shape,
]  # fmt: skip


@pytest.mark.parametrize("change", FAULTS, ids=lambda change: change.__name__)
def test_an_altered_file_is_named_in_one_sentence(tmp_path, change):
    path = tmp_path / "altered.safetensors"
    rewritten(path, change)
    with pytest.raises(BctError, match="altered.safetensors is damaged, or no file of desk features") as raised:
        load_desk_features(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("keep", [0, 4, 100, 5_000, -1])
def test_a_file_that_is_cut_off_is_named(tmp_path, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes((features_folder() / "new-bct.safetensors").read_bytes()[:keep])
    with pytest.raises(BctError, match="cut.safetensors is damaged"):
        load_desk_features(path)


@pytest.mark.parametrize("about", [None, {}, {ABOUT: "[]"}, {ABOUT: "{}"}, {ABOUT: "{"}, {ABOUT: "[" * 100_000}])
def test_a_safetensors_file_of_something_else_is_named(tmp_path, about):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": np.zeros((2, 2), np.float32)}, path, about)
    with pytest.raises(BctError, match="weights.safetensors is damaged, or no file of desk features"):
        load_desk_features(path)


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    with pytest.raises(BctError, match="cannot read .*nowhere.safetensors"):
        load_desk_features(tmp_path / "nowhere.safetensors")
    with pytest.raises(UsageError, match="unknown desk features 'new-bst'; did you mean .*'new-bct'"):
        load_desk_features("new-bst")
    with pytest.raises(BctError, match="the features of new-bct hold no gallery"):
        _ = load_desk_features("new-bct").galleries
    monkeypatch.setattr(locations, "in_checkout", lambda: False)
    with pytest.raises(BctError, match="come with a checkout .*expected the path of such a file"):
        load_desk_features("old")
