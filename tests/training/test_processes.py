"""Several processes: two agree with one at each step, rank 0 alone writes, and the fault of one ends them all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_processes
from real_layouts import write_identity_folders
from safetensors.torch import load_file
from two_processes import CASES, IN_FLOAT32, everything, stored_pool, stored_recipe

from bctlib.base.errors import BctError, UsageError
from bctlib.base.share import Share
from bctlib.training import store
from bctlib.training.artefact import load_artefact
from bctlib.training.processes import Processes, current_group, joined

HERE = Path(__file__).parents[1] / "helpers"
LAUNCH = ("-P", "-m", "companion.launcher.processes")


def start(folder: Path, n: int, module: str, *words: str) -> subprocess.Popen:
    """What the launcher starts for `--processes n`."""
    fault = folder / "fault.txt"
    environment = os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *LAUNCH, str(n), module, json.dumps(words), str(fault)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    return write_identity_folders(tmp_path_factory.mktemp("photographs") / "faces")


@pytest.fixture(scope="module")
def both(tmp_path_factory, photographs) -> tuple[dict, dict, Path]:
    """What one process found, what two found, and the folder of the two: their store, and how they ended."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BCT_STORE", str(folder / "store"))
        process = start(folder, 2, "two_processes", str(photographs), str(folder / "two.safetensors"))
        patch.setenv("BCT_STORE", str(folder / "store-alone"))
        patch.setattr("bctlib.training.devices.has_bf16", lambda device: False)
        alone = everything(photographs)
        said, _ = process.communicate(timeout=600)
    assert process.returncode == 1 and "Connection closed" not in said, said
    return alone, load_file(folder / "two.safetensors"), folder


def deviation(alone: dict, two: dict, name: str) -> float:
    """Largest difference relative to the largest value of the tensor."""
    one, other = alone[name].double(), two[name].double()
    return ((one - other).abs().max() / one.abs().max().clamp(min=1e-3)).item()


@pytest.mark.parametrize("case", CASES)
def test_two_processes_agree_with_one_at_each_step(both, case):
    alone, two, _ = both
    names = [name for name in alone if name.startswith(f"{case}/")]
    assert names and len(alone[f"{case}/losses"]) >= 2 and alone[names[-1]].dtype == torch.float64
    for name in names:
        assert deviation(alone, two, name) < 1e-8, name


@pytest.mark.parametrize("case", [*(f"{name} in float32" for name in IN_FLOAT32), "photographs"])
def test_in_float32_they_agree_within_its_rounding(both, case):
    alone, two, _ = both
    assert deviation(alone, two, f"{case}/losses") < 1e-3
    for name in (name for name in alone if name.startswith(f"{case}/")):
        torch.testing.assert_close(two[name], alone[name], rtol=1e-2, atol=1e-3)


def test_two_processes_find_the_same_tensors_by_the_same_names(both):
    alone, two, _ = both
    assert {name: tensor.shape for name, tensor in alone.items()} == {name: t.shape for name, t in two.items()}
    assert "independent/backbone.trunk.1.num_batches_tracked" in two


def test_a_training_that_diverges_stops_in_the_same_step_in_all_processes(both):
    alone, two, _ = both
    assert torch.equal(alone["stopped in the same step"], two["stopped in the same step"])


@pytest.mark.parametrize("name", ["class means", "features"])
def test_class_means_and_features_are_those_of_all_shares(both, name):
    alone, two, _ = both
    assert deviation(alone, two, name) < 1e-5


def test_a_run_that_was_cut_goes_on_in_all_processes(both):
    alone, two, _ = both
    names = [name for name in alone if name.startswith("resumed/")]
    assert names
    for name in names:
        torch.testing.assert_close(two[name], alone[name], rtol=1e-2, atol=1e-3)


def test_the_store_holds_each_thing_once_and_says_how_many_processes_made_it(both, monkeypatch):
    _, _, folder = both
    monkeypatch.setenv("BCT_STORE", str(folder / "store"))
    model = load_artefact(store.model_file(stored_recipe().key))
    assert model.training.device.endswith(", 2 processes")
    files = sorted(path.name for path in store.model_folder(stored_recipe().key).iterdir())
    features = f"features-{stored_pool().key}.npy"
    assert files == [features, f"{features}.sha256", "model.safetensors", "model.safetensors.sha256"]


def test_a_process_that_was_killed_ends_all_and_it_is_said_how(both):
    _, _, folder = both
    said = (folder / "fault.txt").read_text()
    assert said == "process 1 of 2 (the first is 0) was killed by SIGKILL; most often memory ran out"


def test_the_error_of_one_process_ends_all_with_its_own_sentence(tmp_path):
    process = start(tmp_path, 2, "failing_process", "sentence")
    said, _ = process.communicate(timeout=600)  # its own time-out would be thirty days
    assert process.returncode == 1 and "Connection closed" not in said, said
    assert (tmp_path / "fault.txt").read_text() == "photo-7.jpg: is a truncated image"


@pytest.mark.long
@pytest.mark.parametrize(
    ("n", "fault", "said"),
    [
        (4, "sentence", "photo-7.jpg: is a truncated image"),
        (3, "killed", "process 1 of 3 (the first is 0) was killed by SIGKILL; most often memory ran out"),
        (2, "bug", "KeyError: 'nothing' (process 1 of 2)"),
        (4, "none", None),
    ],
)
def test_more_processes_and_faults(tmp_path, n, fault, said):
    process = start(tmp_path, n, "failing_process", fault)
    words, _ = process.communicate(timeout=300)
    assert process.returncode == (1 if said else 0), words
    assert not said or (tmp_path / "fault.txt").read_text() == said


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("total", [0, 3, 8, 31])
def test_shares_are_contiguous_nearly_equal_and_weigh_what_they_hold(total, size):
    shares = [Processes(rank, size).share(total) for rank in range(size)]
    assert [row for share in shares for row in share.of(range(total))] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert sum(share.weight for share in shares) == pytest.approx(size if total else 0)
    assert not total or total % size or all(share.weight == 1 for share in shares)


def test_a_share_of_each_batch():
    order = torch.arange(12)
    assert Share(6, 3, 6).of_each(order).tolist() == [3, 4, 5, 9, 10, 11]
    assert torch.equal(Share.whole(6).of_each(order), order)
    with pytest.raises(BctError, match="a share of 6 rows was asked of 5"):
        Share(6, 3, 6).of(range(5))


def test_alone_every_operation_gives_back_what_it_was_given():
    alone = current_group()
    tensor, net = torch.ones(2), torch.nn.BatchNorm2d(3)
    assert alone == Processes() and alone.first
    assert alone.sum(tensor) is tensor and alone.parallel(net) is net
    assert alone.with_common_norms(net, torch.device("cpu")) is net
    assert torch.equal(alone.mean(tensor), tensor)
    assert alone.of_first("x") == "x" and alone.agree("x") and alone.device_text("cpu") == "cpu"
    with joined("cpu") as (processes, device), processes.first_before_others():
        assert processes == alone and device.type == "cpu"


@pytest.mark.parametrize(
    ("batch", "size", "near"),
    [(320, 3, "like 2 or 4"), (320, 7, "like 5 or 8"), (7, 2, "like 1 or 7"), (4, 9, "like 4")],
)
def test_processes_that_do_not_divide_the_batch_are_refused(batch, size, near):
    with pytest.raises(UsageError, match=f"a batch of {batch} images .* by {size} processes.*{near}$"):
        Processes(0, size).share_of_batch(batch, 10**6)
    Processes(0, 4).check_batch(320)


def test_too_few_images_and_gpus_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="3 training images are too few for 4 processes"):
        Processes(0, 4).share_of_batch(320, 3)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr("bctlib.training.processes.choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="4 processes on this machine need a GPU each, but PyTorch sees 2"):
        joined("cuda").__enter__()
    with pytest.raises(UsageError, match="device cuda:1 is one GPU"):
        joined("cuda:1").__enter__()


def test_the_cases_cover_every_method_and_uneven_shares():
    assert two_processes.METHODS.keys() <= CASES.keys()
