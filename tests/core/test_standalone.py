"""Losses and methods can be copied into another project; metrics need NumPy only."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

BCTLIB = Path(__file__).resolve().parents[2] / "bctlib"
FREE = [BCTLIB / "losses.py", *sorted((BCTLIB / "methods").glob("*.py"))]

LOOP = """
import torch
from their_project.losses import HEADS, influence_loss
from their_project.methods import METHODS, Batch, OldModel, Preparation, build_method

torch.manual_seed(0)
images, labels, device = torch.randn(32, 8), torch.arange(32) % 4, torch.device("cpu")
old = OldModel(torch.nn.Linear(8, 4), HEADS["cosine-margin"](2, 4), ("a", "b"))
for name in METHODS:
    method, backbone = build_method(name), torch.nn.Linear(8, 6)
    preparation = Preparation(("a", "b", "c", "d"), device, lambda: [(images, labels)], old)
    method.prepare(preparation)
    head = method.build_head(lambda n: HEADS["cosine-margin"](n, 6), len(method.head_classes(preparation)))
    optimiser = torch.optim.SGD([*backbone.parameters(), *head.parameters(), *method.parameters()], lr=0.05)
    losses = []
    for _ in range(10):
        batch = Batch(images, labels, preparation.new_to_old[labels], old, backbone(images))
        loss = method.loss(batch, head)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], (name, losses)
    print(name)
"""


def in_new_process(code: str, folder: Path) -> list[str]:
    """The lines that `code` prints in a Python that finds modules in `folder` first."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def top_packages_after(statement: str) -> set[str]:
    """The packages outside the standard library that are loaded after a statement."""
    code = f"{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}} - sys.stdlib_module_names)"
    return set(in_new_process(code, BCTLIB.parent))


def test_losses_and_methods_import_torch_numpy_and_each_other():
    allowed = {"torch", "numpy", *sys.stdlib_module_names}
    for path in FREE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.partition(".")[0] in allowed, path
            elif isinstance(node, ast.ImportFrom):
                above = BCTLIB if node.level > len(path.relative_to(BCTLIB).parts) - 1 else path.parent
                assert (above / f"{node.module}.py") in FREE, f"{path} imports {'.' * node.level}{node.module}"


def test_every_method_trains_in_another_package(tmp_path: Path):
    """The files are copied as they are: `losses.py` and `methods/` side by side in a package of any name."""
    theirs = tmp_path / "their_project"
    theirs.mkdir()
    shutil.copy(BCTLIB / "losses.py", theirs)
    shutil.copytree(BCTLIB / "methods", theirs / "methods", ignore=shutil.ignore_patterns("__pycache__"))
    printed = in_new_process(LOOP + "assert 'bctlib' not in sys.modules\n", tmp_path)
    assert {"independent", "l2", "lwf", "bct", "bct-kd", "bct-sys", "bct-map"} <= {*printed}


def test_metrics_load_numpy_alone():
    assert top_packages_after("import bctlib.metrics") == top_packages_after("import numpy") | {"bctlib"}


def test_losses_load_torch_and_numpy_alone():
    wanted = top_packages_after("import torch, numpy, torch.nn.functional") | {"bctlib"}
    assert top_packages_after("import bctlib.losses") == wanted
