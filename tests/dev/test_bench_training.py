"""`bench training` at its small size: every part gives whole rows whose figures agree. No timing is judged."""

import json

import pytest
import torch
from PIL import Image
from tiny import tiny_recipe, tiny_set
from torch import nn

from bctlib.data.distortion import TrainingDistortion
from bctlib.data.photos.index import index_of
from bctlib.data.photos.sets import image_folder_set
from bctlib.methods import METHODS
from companion.launcher.share.matrix_peak import MatrixPeak, flops_of, matrix_peak, training_flops
from companion.measure.training_speed import Passes, TimedSet
from dev.bench import training
from dev.bench.__main__ import main
from dev.bench.figures import draw_speed
from dev.bench.generated import write_photographs
from dev.bench.harness import Table
from dev.bench.plain_loop import PlainSet, transforms
from dev.bench.profiled import OperatorTime, bottleneck

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict:
    """What a small run of all parts has written."""
    folder = tmp_path_factory.mktemp("out")
    assert main(["training", "--small", "--device", "cpu", "--out", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} >= {"bench-training.json", "training_speed.png"}
    return json.loads((folder / "bench-training.json").read_text())


def test_every_part_and_every_method_has_its_rows(written):
    names = {part: [row["name"] for row in written["rows"] if row["part"] == part] for part in training.PARTS}
    assert names["loop"][0] == "ours" and all(name.startswith("plain loop") for name in names["loop"][1:])
    assert [name.split(",")[0] for name in names["methods"]] == list(METHODS)
    assert names["growth"] == ["64 images, 2 identities", "640 images, 20 identities"]
    assert names["beside"] == ["as it is", "beside them"]
    assert names["folders"][0] == "training step of rehearsal-net" and len(names["folders"]) >= 3
    assert {"device", "versions", "commit"} == set(written["provenance"]) and written["threads"] >= 1
    assert [sentence.split(":")[0] for sentence in written["sentences"]][2] == "next bottleneck"
    assert sum(operator["share"] for operator in written["operators"]) <= 1.001


def test_no_busy_process_outlives_the_measurement():
    with pytest.raises(KeyboardInterrupt), training.busy_processes(2) as running:
        assert len(running) == 2 and all(each.poll() is None for each in running)
        raise KeyboardInterrupt
    assert all(each.poll() is not None for each in running)


def test_ratios_and_rates_follow_from_the_seconds(written):
    rows = {(row["part"], row["name"]): row for row in written["rows"]}
    for row in rows.values():
        assert 0 < row["least"] <= row["seconds"] <= row["most"] and row["passes"] >= 1
        assert row["images_per_s"] == pytest.approx(row["images"] / row["seconds"])
        if row["ratio_to"]:
            base = rows[row["part"], row["ratio_to"]]
            expected = row["seconds"] / row["images"] / (base["seconds"] / base["images"])
            assert row["ratio"] == pytest.approx(expected)
        if row["flops_per_image"]:
            share = row["flops_per_image"] * row["images_per_s"] / row["peak_flops_per_s"]
            assert row["share_of_peak"] == pytest.approx(share)
    assert rows["methods", "independent"]["ratio"] is None and rows["methods", "bct"]["ratio_to"] == "independent"
    ours, *plain = (row for (part, _), row in rows.items() if part == "loop")
    assert ours["flops_per_image"] > 0 and all(row["peak_flops_per_s"] == ours["peak_flops_per_s"] for row in plain)
    assert written["peak"]["flops_per_s"] == pytest.approx(2 * 256**3 / written["peak"]["seconds"])


def test_an_epoch_measured_on_a_part_is_extrapolated_and_says_so(capsys):
    table = Table(MatrixPeak("float32", 8, 1e-3))
    row = table.add("growth", "many", Passes(100, (2.0, 1.0, 4.0)), flops=1024 / 1000, epoch=1000)
    assert (row.seconds, row.least, row.most, row.extrapolated) == (20.0, 10.0, 40.0, True)
    assert row.share_of_peak == pytest.approx(1.024 * 50 / 1_024_000)
    assert "extrapolated" in capsys.readouterr().out
    assert not table.add("growth", "few", Passes(100, (2.0,)), epoch=100).extrapolated


def test_operations_of_a_tiny_net_are_those_counted_by_hand():
    # A 3 x 3 convolution of 2 channels to 4 on 5 x 5 pixels without padding gives 3 x 3, then a layer of 36 to 7.
    net = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.Flatten(), nn.Linear(36, 7, bias=False))
    convolution, layer = 2 * (4 * 3 * 3) * (2 * 3 * 3), 2 * 36 * 7
    counts = training_flops(net, torch.randn(6, 2, 5, 5))
    assert counts["aten::convolution"] == convolution
    assert counts["aten::convolution_backward"] == convolution  # its weights; nobody asks for the images' gradient
    assert sum(counts.values()) == 2 * convolution + 3 * layer


def test_networks_are_counted_without_being_computed():
    small = sum(flops_of(tiny_recipe(), 10, (1, 28, 28)).values())
    more_classes = sum(flops_of(tiny_recipe(), 110, (1, 28, 28)).values())
    assert more_classes - small == 3 * 2 * 100 * 8  # forward, and two products backward, for each class and dimension
    assert sum(flops_of(tiny_recipe(backbone="resnet18"), 10, (1, 28, 28)).values()) > small


def test_a_timed_pass_sees_the_whole_set_evenly():
    data = TimedSet(tiny_set("abcd"), 16)
    labels = torch.cat([labels for _, labels in data.batches(torch.arange(len(data)), 4)])
    assert len(data) == 16 and labels.tolist() == [i // 4 for i in range(16)]
    assert len(data.began) == 1 and data.preparing is None
    assert sum(len(labels) for _, labels in data.plain_batches()) == 64 and data.preparing > 0


def test_the_plain_loop_distorts_the_same_pictures():
    data = tiny_set("abcd")
    still = TrainingDistortion(0, 0, (1, 1), 0, (1, 1), 0, 0)
    image, label = PlainSet(data, still, 100)[1]
    position = 7919 % 64
    assert label == data.labels[position] and len(PlainSet(data, still, 100)) == 100
    assert torch.allclose(image[0], data.images[position] / 255 * 2 - 1, atol=1e-2)
    torch.manual_seed(0)
    distorted = transforms(TrainingDistortion())(Image.fromarray(data.images[0].numpy()))
    assert distorted.shape == (1, 12, 12) and distorted.dtype == torch.float32


def test_the_bottleneck_is_where_most_time_could_be_saved():
    found = [OperatorTime("aten::convolution", 0.5, 9, 0.9), OperatorTime("aten::add", 0.2, 9, None)]
    assert bottleneck(found) == "next bottleneck: aten::add, 20 % of the time, which multiplies no matrices"
    found = [OperatorTime("aten::convolution", 0.5, 9, 0.4), OperatorTime("aten::add", 0.2, 9, None)]
    assert bottleneck(found) == "next bottleneck: aten::convolution, 50 % of the time, at 40 % of the matrix peak"


def test_the_peak_is_measured_in_the_precision_of_training(float32_only, monkeypatch):
    monkeypatch.setattr("companion.launcher.share.matrix_peak.has_bf16", lambda device: False)
    peak = matrix_peak(CPU, side=64, repeats=2)
    assert peak.dtype == "float32" and peak.flops_per_s == pytest.approx(2 * 64**3 / peak.seconds)


def test_parts_can_be_chosen_and_a_figure_shows_those_there_are(tmp_path, capsys, written):
    assert main(["training", "--small", "--device", "cpu", "--only", "growth"]) == 0
    out = capsys.readouterr().out
    assert "640 images, 20 identities" in out and "plain loop" not in out and "JPEG" not in out
    only = written | {"rows": [row for row in written["rows"] if row["part"] == "growth"]}
    assert {path.suffix for path in draw_speed(only, tmp_path)} == {".pdf", ".png"}
    assert draw_speed(written | {"rows": []}, tmp_path / "none") == [] and not (tmp_path / "none").exists()


def test_a_held_batch_is_decoded_once(tmp_path):
    paths, sizes = write_photographs(tmp_path, 40)
    data = image_folder_set(index_of(tmp_path, paths, [path.split("/")[0] for path in paths], sizes), workers=0)
    held = training.HeldBatch(data.images, data.labels, data.classes, 0)
    batches = [*held.batches(torch.arange(16), 8), *held.batches(torch.arange(8), 8)]
    assert len(batches) == 3 and all(images is batches[0][0] for images, _ in batches)
    assert batches[0][0].shape == (8, 3, 112, 112) and len(data.classes) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trainig"], "did you mean 'training'"),
        (["training", "--smal"], "unrecognized arguments: --smal"),
        (["training", "--only", "speed"], "invalid choice: 'speed'"),
        (["training", "--scale", "paper"], "invalid choice: 'paper'"),
        (["training", "--network", "resnet19"], "invalid choice: 'resnet19'"),
        (["training", "--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_what_is_not_understood_exits_2(capsys, words, said):
    assert main([*words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out
