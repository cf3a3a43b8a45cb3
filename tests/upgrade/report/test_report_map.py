"""`bctlib report --query-map`: new/old through the map, refusals, and the share of backfill that overtakes the map."""

import json

import numpy as np
import pytest
from upgrade_features import made_up

from bctlib.base.errors import BctError, UsageError
from bctlib.upgrade.align import fit
from bctlib.upgrade.report import command
from bctlib.upgrade.report.command import report
from bctlib.upgrade.report.evidence.backfill import BackfillBand
from bctlib.upgrade.report.evidence.break_even import break_even, break_even_sentence

MADE = made_up(n_classes=40, per_class=5, singles=40, d=12)
FAST = {"resamples": 30, "orders": 3, "fpir": [0.1], "far": [0.01]}
IDS = {"new_id": "v2", "old_id": "v1"}
MAP = fit(MADE["foreign"], MADE["old"], "ridge", strength=0.1, **IDS)


def test_new_old_is_that_of_features_mapped_beforehand_and_unmapped_that_of_the_features_themselves():
    page = report(MADE["foreign"], MADE["old"], MADE["labels"], query_map=MAP, **IDS, **FAST)
    mapped = report(MAP.apply(MADE["foreign"], "v2"), MADE["old"], MADE["labels"], **FAST)
    plain = report(MADE["foreign"], MADE["old"], MADE["labels"], **FAST)
    for ours, through, without in zip(*(each.judgement.points for each in (page, mapped, plain)), strict=True):
        assert ours.new_old == through.new_old != without.new_old
        assert ours.losses[0].value == without.losses[0].value, "new/new needs no map"
        assert page.judgement.evaluation.value("unmapped", "old", ours.metric, ours.point) == without.new_old.value
    assert page.judgement.backfill == plain.judgement.backfill


def test_the_page_and_its_data_say_the_break_even():
    page = report(MADE["foreign"], MADE["old"], MADE["labels"], query_map=MAP, **IDS, **FAST)
    content = page.judgement.as_dict()
    (even,) = content["map"]["break_even"]
    (band,) = content["backfill"]
    assert (even["unmapped"], even["backfilled"]) == (band["mean"][0], band["mean"][-1])
    assert 0 < even["share"] < 1
    assert np.interp(even["share"], band["share"], band["mean"]) == pytest.approx(even["mapped"])
    said = f"once {100 * even['share']:.0f} % of the gallery's classes are backfilled at TPIR@FPIR=0.1"
    assert said in page.summary() and "ridge map from v2 to v1" in page.html()
    assert content["map"]["digest"] == MAP.digest and any("ridge map" in note for note in content["notes"])
    assert report(MADE["foreign"], MADE["old"], MADE["labels"], **FAST).judgement.as_dict()["map"] is None


def band_of(*mean):
    share = np.linspace(0, 1, len(mean)).tolist()
    return BackfillBand("TPIR", 0.01, share, list(mean), list(mean), list(mean))


@pytest.mark.parametrize(
    ("mean", "mapped", "share", "said"),
    [
        ((0.2, 0.4, 0.6), 0.5, 0.75, "once 75 % of the gallery's classes are backfilled at TPIR@FPIR=0.01"),
        ((0.2, 0.4, 0.6), 0.1, 0.0, "at once, before any backfill, at TPIR@FPIR=0.01 (20.00 %, 10.00 % mapped)"),
        ((0.2, 0.4, 0.6), 0.6, None, "at no share of backfill at TPIR@FPIR=0.01 (60.00 % at its end, 60.00 % mapped)"),
        ((0.5, 0.2, 0.2, 0.8), 0.5, 5 / 6, "once 83 %"),  # from the last crossing on it stays better
    ],
)
def test_break_even(mean, mapped, share, said):
    found = break_even(band_of(*mean), mapped)
    assert found.share == (share if share is None else pytest.approx(share))
    assert said in break_even_sentence([found])[0]


def test_without_new_gallery_features_it_says_what_it_takes():
    half = np.arange(len(MADE["labels"])) % 2 == 0
    page = report(
        MADE["foreign"][half], MADE["old"][~half], query_labels=MADE["labels"][half],
        gallery_labels=MADE["labels"][~half], old_query_features=MADE["old"][half], query_map=MAP, **IDS, **FAST,
    )  # fmt: skip
    assert "it takes the new model's gallery features" in page.summary()
    assert page.judgement.evaluation.value("unmapped", "old", "rank", 1) < 0.5


def test_a_midpoint_takes_the_old_queries():
    made = fit(MADE["foreign"], MADE["old"], "midpoint", of="ridge", strength=0.1, **IDS)
    page = report(MADE["foreign"], MADE["old"], MADE["labels"], query_map=made, **IDS, **FAST)
    mapped = made.apply(MADE["foreign"], "v2", old_queries=MADE["old"])
    expected = report(mapped, MADE["old"], MADE["labels"], **FAST)
    assert [p.new_old for p in page.judgement.points] == [p.new_old for p in expected.judgement.points]


@pytest.mark.parametrize(
    ("ids", "error", "said"),
    [
        ({"new_id": "v1", "old_id": "v2"}, BctError, "leads from 'v2' to 'v1' and not back"),
        ({"new_id": "v3", "old_id": "v1"}, BctError, "features of 'v3' cannot be mapped by it"),
        ({"new_id": "v2", "old_id": "v0"}, BctError, "a gallery of 'v0' cannot be searched through it"),
        ({"new_id": "v2"}, UsageError, "old_id is missing"),
    ],
)
def test_another_direction_and_other_models_are_refused(ids, error, said):
    with pytest.raises(error, match=said):
        report(MADE["foreign"], MADE["old"], MADE["labels"], query_map=MAP, **ids, **FAST)


def test_as_a_command_with_ids_from_the_names_of_the_files(tmp_path, capsys):
    np.save(tmp_path / "v2.npy", MADE["foreign"])
    np.save(tmp_path / "v1.npy", MADE["old"])
    np.save(tmp_path / "labels.npy", MADE["labels"])
    MAP.save(tmp_path / "map.safetensors")
    options = ["--query-features", "v2", "--gallery-features", "v1", "--labels", "labels"]
    words = [word if word.startswith("--") else str(tmp_path / f"{word}.npy") for word in options]
    words += ["--resamples", "20", "--orders", "2", "--out", str(tmp_path / "out")]
    assert command.main([*words, "--query-map", str(tmp_path / "map.safetensors")]) == 0
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any(each["name"] == "query_map" and each["sha256"] for each in content["inputs"])
    capsys.readouterr()
    assert command.main([*words, "--new-id", "v2"]) == 2
    assert "new_id is for a map" in capsys.readouterr().err
    assert command.main([*words, "--query-map", str(tmp_path / "v1.npy")]) == 1
    assert "v1.npy" in capsys.readouterr().err
