"""GPU scale as far as a CPU goes: the set that must be built, its networks, steps for which nobody waits."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from synthetic_glyphs import synthetic_glyphs
from tiny import same_weights, tiny_recipe, tiny_set
from torch import nn

from bctlib.base import deadline, progress, provenance
from bctlib.base.errors import UsageError
from bctlib.data.distortion import TrainingDistortion
from bctlib.data.glyphs import IDENTITIES, load_glyphs
from bctlib.losses import build_head
from bctlib.methods import METHODS, OldModel, Preparation, build_method
from bctlib.networks import build_backbone
from bctlib.training.devices import Accelerated, accelerated
from bctlib.training.loop import Objective, train
from bctlib.training.scales import SETTINGS
from companion.launcher import main, watched_process
from companion.measure.run import basis, plan, require_data, run_experiment
from companion.results import load_rows
from companion.workbench import Workbench
from dev.glyphs.blocks import FIRST, Block
from dev.glyphs.build import _write_identities, _write_manifest, block_entry
from dev.glyphs.rendering import write_sheet

CPU, NOWHERE = torch.device("cpu"), torch.device("meta")


def write_full_set(data: Path) -> Path:
    """DATA/glyphs-full as the builder lays it out: 72 identities in 12 generated typefaces of 28 x 28 pixels."""
    glyphs = synthetic_glyphs(n_identities=72, n_typefaces=12, side=28)
    (folder := data / "glyphs-full").mkdir(parents=True)
    block, entries = Block("level-1", FIRST.identities[:72], ()), []
    for number, face in enumerate(glyphs.typefaces):
        write_sheet(folder / f"{face}.png", glyphs.images[:, number] // 17, block_entry(block)["columns"])
        missing = "".join(block.characters[i] for i in np.flatnonzero(~glyphs.present[:, number]))
        entries.append({"name": face, "sheets": [f"{face}.png"], "missing": missing})
    _write_identities(folder / IDENTITIES, [block])
    _write_manifest(folder, "full", 28, [block_entry(block)], entries)
    return folder


@pytest.fixture
def nothing_here(tmp_path, monkeypatch) -> Path:
    """Empty folders for everything."""
    for name in ("DATA", "STORE", "RESULTS", "FIGURES"):
        monkeypatch.setenv(f"BCT_{name}", str(tmp_path / name))
    return tmp_path


@pytest.fixture(scope="module")
def small_set(tmp_path_factory) -> Path:
    """A data folder with a small full set, and beside it the folders of all rehearsals here."""
    root = tmp_path_factory.mktemp("rehearsal")
    write_full_set(root / "DATA")
    return root


@pytest.fixture
def rehearsal(small_set, monkeypatch) -> Path:
    """One step of each model on that set, in one store as in real use."""
    monkeypatch.setenv("BCT_REHEARSAL", "1")
    for name in ("DATA", "STORE", "RESULTS", "FIGURES"):
        monkeypatch.setenv(f"BCT_{name}", str(small_set / name))
    return small_set


def test_a_missing_full_set_names_the_command_that_builds_it(nothing_here, capsys):
    bench = Workbench("gpu", device="cpu")
    for look in (lambda: require_data(["table1"], "gpu"), lambda: bench.glyphs, lambda: bench.model("old")):
        with pytest.raises(UsageError, match="glyphs-full.*dev.glyphs.build --set full --fonts DIR --download"):
            look()
    assert main.main(["table1", "--scale", "gpu"]) == 2
    said = capsys.readouterr()
    assert "--set full" in said.err and said.err.count("\n") == 1 and not said.out
    assert not any((nothing_here / name).exists() for name in ("STORE", "RESULTS", "FIGURES"))


def test_an_estimate_needs_no_glyphs_and_says_that_it_is_a_guess(nothing_here):
    models = plan(["new-bct"], "gpu", [0], device="cpu")
    assert [model.name for model in models] == ["old", "new-bct"] and not any(model.cached for model in models)
    assert all(60 < model.estimated_s < 3600 for model in models)
    said = basis(models, "gpu")
    assert "12,000 images/s, one GPU, resnet18: guesses, not measured" in said and "not built here" in said


def test_all_identities_are_used_and_the_old_network_is_the_shallower_one():
    settings = SETTINGS["gpu"]
    source = settings.source
    assert source.n_train + source.n_validation + source.n_test == 6355
    assert dict(settings.backbones) == {"base": "resnet18", "deep": "resnet50"}


def test_the_depth_pair_of_table_3_has_different_networks(rehearsal):
    bench = Workbench("gpu", device="cpu")
    assert bench.recipe("old").backbone == "resnet18" and bench.recipe("new-deep").backbone == "resnet50"
    assert bench.recipe("new-deep").old == bench.recipe("old").key
    new = bench.model("new-deep")
    assert len(new.training.losses) == 1 and new.recipe.schedule.epochs == 1
    query, gallery = bench.pair_features("new-deep", "old")
    assert query.shape == gallery.shape and query.shape[1] == 128


def test_table_1_at_gpu_scale_in_one_step_a_model(rehearsal):
    bench = Workbench("gpu", device="cpu")
    assert load_glyphs(rehearsal / "DATA" / "glyphs-full").version in bench.data.text
    assert "(the data found)" in basis(plan(["old"], "gpu", [0], device="cpu"), "gpu")
    run_experiment("table1", [bench])
    rows = load_rows("gpu", "table1")
    assert {"new-l2", "new-bct-sys"} <= set(rows["query_model"]) and np.isfinite(rows["value"]).all()


@pytest.mark.long
def test_notebook_01_at_gpu_scale(rehearsal, monkeypatch, capfd):
    for module in (watched_process, main):
        monkeypatch.setattr(module, "runs_dir", lambda: rehearsal / "runs")
    status = main.main(["table1", "--scale", "gpu", "--device", "cpu"])
    out, err = capfd.readouterr()
    assert status == 0, err
    assert "guesses, not measured" in out
    (executed,) = (rehearsal / "runs").glob("*.ipynb")
    assert all(cell.get("execution_count") for cell in nbformat.read(executed, 4).cells if cell.cell_type == "code")


def test_a_rehearsal_of_gpu_scale_keeps_out_of_the_folders_of_real_runs(monkeypatch):
    monkeypatch.setenv("BCT_REHEARSAL", "1")
    monkeypatch.delenv("BCT_STORE", raising=False)
    with pytest.raises(UsageError, match="BCT_STORE.*folders of its own"):
        Workbench("gpu", device="cpu")


@pytest.mark.parametrize("name", METHODS)
def test_no_step_waits_for_the_device(name, float32_only):
    """On PyTorch's meta device no value exists: whatever would fetch one, or have a size that hangs on one, fails."""
    small, half = tiny_set("abcd", per_class=24), train(tiny_recipe(epochs=1), tiny_set("ac"), None, CPU)
    old = OldModel(half.backbone, half.head, half.classes)
    method = build_method(name)
    preparation = Preparation(small.classes, CPU, small.plain_batches, old)
    method.prepare(preparation)
    classes = method.head_classes(preparation)
    head = method.build_head(lambda n: build_head("cosine-margin", n, 8), len(classes))
    objective = Objective(build_backbone("glyphnet", 8), head, method, preparation).to(NOWHERE).train()
    for module in (old.backbone, old.head, *(each for each in vars(method).values() if isinstance(each, nn.Module))):
        module.to(NOWHERE)
    for attribute, value in vars(method).items():
        if isinstance(value, torch.Tensor):  # what is trained stays a leaf: its copy would lead back to the CPU
            moved = value.detach().to(NOWHERE)
            setattr(method, attribute, nn.Parameter(moved) if isinstance(value, nn.Parameter) else moved)
    optimiser = torch.optim.SGD(objective.parameters(), lr=0.1, momentum=0.9)
    data, distort = small.to(NOWHERE), small.distortion({})
    for images, labels in data.batches(torch.randperm(72), 32):
        loss = objective(distort(images, torch.Generator().manual_seed(0)), labels, torch.rand(len(labels)), 0.5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.device == NOWHERE and labels.device == CPU
    with pytest.raises(RuntimeError):
        loss.item()  # so would any wait have ended


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_itself_sees_no_wait():
    data = tiny_set("abcd", per_class=64).to(torch.device("cuda"))
    distort = TrainingDistortion()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for images, _ in data.batches(torch.arange(128), 32):
            distort(images, torch.Generator().manual_seed(0))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_glyphs_lie_on_the_device_as_bytes_and_are_distorted_there():
    data = tiny_set("abcd").to(NOWHERE)
    images, labels = next(data.batches(torch.arange(32), 32))
    assert data.images.device == images.device == NOWHERE and data.images.dtype == images.dtype == torch.uint8
    assert TrainingDistortion()(images, torch.Generator().manual_seed(0)).device == NOWHERE


def step_of(network: nn.Module) -> torch.Tensor:
    images = torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    z = network(images)
    z.square().sum().backward()
    return z


def test_on_a_cpu_the_network_itself_is_called():
    network = build_backbone("glyphnet", 8)
    assert accelerated(network, CPU) is network
    assert isinstance(accelerated(network, torch.device("cuda")), Accelerated)


def test_a_compiled_network_keeps_names_and_numbers_of_the_plain_one():
    torch.manual_seed(0)
    plain = build_backbone("glyphnet", 8).train()
    network = build_backbone("glyphnet", 8).train()
    network.load_state_dict(plain.state_dict())
    wrapped = Accelerated(network, backend="eager")
    assert [id(p) for p in wrapped.parameters()] == [id(p) for p in network.parameters()]
    assert torch.allclose(step_of(plain), step_of(wrapped), atol=1e-5)
    assert list(network.state_dict()) == list(plain.state_dict())  # no _orig_mod
    assert same_weights(plain, network)  # the trial has changed no statistics
    for one, other in zip(plain.parameters(), network.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-4)
    step_of(wrapped)
    assert list(wrapped.state_dict()) == [f"network.{name}" for name in plain.state_dict()]


def test_without_a_compiler_training_goes_on_plainly_and_says_so_once(monkeypatch):
    said = []
    monkeypatch.setattr(progress, "say", said.append)

    def broken(graph, inputs):
        raise RuntimeError("no compiler here" + "\nand a long story" * 99)

    plain, network = build_backbone("glyphnet", 8).train(), build_backbone("glyphnet", 8).train()
    network.load_state_dict(plain.state_dict())
    wrapped = Accelerated(network, backend=broken)
    for _ in range(2):
        assert torch.equal(step_of(plain), step_of(wrapped))
    assert same_weights(plain, network)
    assert len(said) == 1 and "torch.compile does not work here" in said[0] and "no compiler here" in said[0]
    assert "\n" not in said[0] and len(said[0]) < 300


def test_provenance_of_a_checkout_that_is_not_installed():
    assert provenance._version("no-such-package-here") == "(not installed)"
    assert provenance._version("numpy") == np.__version__


def test_a_share_stops_in_time_says_what_remains_and_goes_on_from_result_rows(rehearsal, monkeypatch, capsys):
    words = ["share", "table1", "--scale", "gpu", "--seeds", "7,", "--device", "cpu"]
    monkeypatch.setenv("BCT_RESULTS", str(rehearsal / "share-results"))
    assert main.main([*words, "--minutes", "0"]) == deadline.UNFINISHED
    err = capsys.readouterr().err
    assert "remaining: table1 seed 7" in err.splitlines()[-1] and not (rehearsal / "share-results").exists()
    assert main.main(words) == 0
    assert set(load_rows("gpu", "table1")["seed"]) == {7}
    monkeypatch.setenv("BCT_STORE", str(rehearsal / "an empty store"))
    assert main.main([*words, "--minutes", "0"]) == 0
    assert not list((rehearsal / "an empty store").rglob("*.safetensors"))


@pytest.mark.parametrize("minutes", ["nan", "-1", "soon"])
def test_minutes_of_a_share(minutes, capsys):
    assert main.main(["share", "table1", "--minutes", minutes]) == 2
    assert "minutes" in capsys.readouterr().err
