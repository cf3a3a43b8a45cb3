"""GPU scale as far as a CPU goes: the set that must be built, its networks, steps for which nobody waits."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from synthetic_glyphs import synthetic_glyphs
from tiny import same_weights, tiny_recipe, tiny_set
from torch import nn

from bctlib.base import deadline, progress, provenance
from bctlib.base.errors import Diverged, UsageError
from bctlib.data.distortion import TrainingDistortion
from bctlib.data.glyphs import IDENTITIES, load_glyphs
from bctlib.losses import build_head
from bctlib.methods import METHODS, OldModel, Preparation, build_method
from bctlib.networks import build_backbone
from bctlib.training import store
from bctlib.training.devices import Accelerated, accelerated
from bctlib.training.loop import Objective, train
from bctlib.training.scales import SETTINGS
from companion.launcher import main, watched_process
from companion.launcher.share import speed
from companion.measure.run import basis, plan, require_data, run_experiment
from companion.pairs import CHAIN_MATRIX, CHAIN_PAIRS
from companion.results import load_rows
from companion.workbench import Workbench
from dev.glyphs.blocks import FIRST, Block, blocks_of
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
    assert source.n_train + source.n_validation + source.n_test == sum(
        len(block.identities) for block in blocks_of("full")
    )
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


CHAIN = ["share", "table4", "--scale", "gpu", "--seeds", "7,", "--device", "cpu", "--minutes", "9"]


@pytest.fixture
def trained(rehearsal, tmp_path, monkeypatch) -> list[str]:
    """The trainings so far, each of which takes four minutes of the deadline; store and results are empty."""
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(speed, "_peak", lambda device: speed.MatrixPeak("float32", 100, 1.0))
    names, train = [], store.train_and_save

    def timed(path, checkpoint, recipe, data, old, device, label):
        names.append(label.split()[0])
        return train(path, checkpoint, recipe, data, old, device, label)

    monkeypatch.setattr(store, "train_and_save", timed)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: 240.0 * len(names)))
    return names


def pairs_of(table: str) -> set[tuple[str, str]]:
    rows = load_rows("gpu", table)
    return set(zip(rows["query_model"], rows["gallery_model"], strict=True))


def test_a_share_stops_in_time_and_the_next_goes_on_from_rows_alone(trained, tmp_path, monkeypatch, capsys):
    assert main.main(CHAIN) == deadline.UNFINISHED == 3
    assert trained == ["phi1", "phi2", "phi3"]
    assert pairs_of("chain_matrix") == {pair for pair in CHAIN_MATRIX if set(trained).issuperset(pair)} != set()
    (said,) = capsys.readouterr().err.splitlines()[-1:]
    assert "time is over; there remain 2 of 11 pairs of table4 seed 7; the same command goes on" in said

    monkeypatch.setenv("BCT_STORE", str(tmp_path / "another machine"))
    assert main.main(CHAIN) == 0 and trained == ["phi1", "phi2", "phi3", "phi2*", "phi3*"]
    assert pairs_of("chain_matrix") == set(CHAIN_MATRIX) and pairs_of("table4") >= set(CHAIN_PAIRS)
    speeds = load_rows("gpu", "training_speed")
    assert set(speeds["query_model"]) == set(trained) and set(speeds["protocol"]) == {speed.WHOLE}
    phi1 = speeds[speeds["query_model"] == "phi1"].set_index("metric")["value"]
    assert phi1[speed.PEAK] == 2 * 100**3 and 0 < phi1[speed.SHARE] and 0 < phi1[speed.IMAGES_PER_S]

    monkeypatch.setenv("BCT_STORE", str(tmp_path / "a third one"))
    assert main.main([*CHAIN[:-1], "0"]) == 0 and "nothing remains" in capsys.readouterr().out
    assert main.main([*CHAIN, "--seeds", "7,8", "--minutes", "0"]) == 3
    assert "there remain 11 of 11 pairs of table4 seed 8; " in capsys.readouterr().err and len(trained) == 5


def test_a_model_that_diverged_is_not_trained_again_by_the_next_share(trained, monkeypatch, capsys):
    learn = store.train_and_save

    def diverging(path, checkpoint, recipe, data, old, device, label):
        if label.startswith("phi2 "):
            trained.append("phi2")
            raise Diverged(f"{label}: the loss is not finite")
        return learn(path, checkpoint, recipe, data, old, device, label)

    monkeypatch.setattr(store, "train_and_save", diverging)
    words = [*CHAIN[:-1], "900"]
    assert main.main(words) == 0 and "the tables have no numbers for phi2" in capsys.readouterr().err
    assert trained.count("phi2") == 1 and "phi3" not in trained
    assert pairs_of("chain_matrix") == {pair for pair in CHAIN_MATRIX if not {"phi2", "phi3"} & set(pair)} != set()
    assert main.main(words) == 0 and trained.count("phi2") == 1


@pytest.mark.parametrize(("words", "said"), [
    (["table1", "--minutes", "nan"], "minutes"), (["table1", "--minutes", "-1"], "minutes"),
    (["table1", "--minutes", "soon"], "minutes"), (["tabel1"], "tabel1"), (["table1", "--scale", "big"], "big"),
    (["table1", "--seeds", "x"], "seeds"), ([], "TABLE"),
])  # fmt: skip
def test_words_of_a_share_are_checked(words, said, capsys):
    assert main.main(["share", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
