"""`bctlib check-index`: whether a model makes the vectors of an index, and the sentence for each reason why not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from custom_images import CLASSES, Classifier, write_images

from bctlib.upgrade import check_index, embed

PLAIN = ["--backbone", "custom_images:Classifier", "--classifier", "head.fc", "--image-size", "32"]
ON_CPU = ["--device", "cpu", "--workers", "0"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """24 images, two untrained networks of one form, and the first one's vectors."""
    root = tmp_path_factory.mktemp("index")
    patch = pytest.MonkeyPatch()
    patch.setenv("BCT_STORE", str(root / "store"))
    patch.syspath_prepend(str(Path(__file__).parents[1] / "helpers"))
    write_images(root / "photos", CLASSES[:8], 3)
    for seed in range(2):
        torch.manual_seed(seed)
        torch.save(Classifier().state_dict(), root / f"model{seed}.pth")
        options = ["--model", str(root / f"model{seed}.pth"), "--images", str(root / "photos"), *PLAIN, *ON_CPU]
        assert embed.main([*options, "--out", str(root / f"by{seed}.npy")]) == 0
    yield root
    patch.undo()


def answer(own, capsys, index, *options, model="model0.pth"):
    """Exit status and sentence."""
    capsys.readouterr()
    path = own / "index.npy"
    np.save(path, index)
    more = [] if "--images" in options else ["--images", str(own / "photos")]
    status = check_index.main(["--index", str(path), "--model", str(own / model), *PLAIN, *ON_CPU, *more, *options])
    return status, capsys.readouterr().out.strip()


def test_the_model_that_made_them(own, capsys):
    status, said = answer(own, capsys, np.load(own / "by0.npy"))
    assert status == 0 and said.startswith("Yes: the model makes these vectors (24 of 24 vectors were compared")
    assert said.count("\n") == 0


def test_lengths_types_and_small_noise_make_no_difference(own, capsys):
    rows = np.load(own / "by0.npy")
    stored = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    assert answer(own, capsys, stored)[0] == 0


def test_the_list_beside_the_index_names_the_images(own, capsys):
    arguments = ["--index", str(own / "by0.npy"), "--model", str(own / "model0.pth"), *PLAIN, *ON_CPU]
    assert check_index.main(arguments) == 0
    capsys.readouterr()
    np.save(own / "lonely.npy", np.load(own / "by0.npy"))
    assert check_index.main(["--index", str(own / "lonely.npy"), *arguments[2:]]) == 2
    assert "--images is missing, and there is no list" in capsys.readouterr().err


def test_another_model(own, capsys):
    status, said = answer(own, capsys, np.load(own / "by0.npy"), model="model1.pth")
    assert status == 1 and said.startswith("No: the model does not make these vectors (24 of 24")


def test_vectors_of_two_models(own, capsys):
    mixed = np.load(own / "by0.npy")
    mixed[10:] = np.load(own / "by1.npy")[10:]
    status, said = answer(own, capsys, mixed)
    assert status == 1 and "only a part of these vectors, 10 of the 24" in said


def test_rows_in_another_order_than_the_images(own, capsys):
    status, said = answer(own, capsys, np.roll(np.load(own / "by0.npy"), 1, axis=0), "--least", "0.99999")
    assert status == 1 and "rows and images are in different orders" in said


def test_a_narrower_index_is_compared_with_the_first_dimensions_and_a_wider_one_is_not_the_models(own, capsys):
    rows = np.load(own / "by0.npy")
    d = rows.shape[1]
    status, said = answer(own, capsys, rows[:, : d // 2])
    assert status == 0 and f"the first {d // 2} of the model's {d} dimensions" in said
    status, said = answer(own, capsys, np.hstack([rows, rows]))
    assert status == 1 and said == f"No: the vectors have {2 * d} dimensions and the model makes {d}."


def test_the_cosines_are_those_of_the_drawn_rows(own):
    rows = np.load(own / "by0.npy")
    noisy = rows + 0.2 * np.abs(rows).mean() * np.random.default_rng(0).normal(size=rows.shape).astype(np.float32)
    found = check_index.check_index(
        noisy, own / "model0.pth", own / "photos", sample=7, seed=3, least=0.5, backbone="custom_images:Classifier",
        classifier="head.fc", image_size=(32, 32), device="cpu", workers=0,
    )  # fmt: skip
    drawn = np.random.default_rng(3).permutation(24)[:7]
    a, b = rows[drawn], noisy[drawn]
    expected = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(found.cosines, np.sort(expected)[::-1], atol=1e-4)


@pytest.mark.parametrize(
    ("change", "options", "code", "said"),
    [
        (lambda rows: rows[:-1], [], 1, "index.npy has 23 rows: expected 24, one for each image"),
        (lambda rows: np.where(np.arange(24)[:, None] == 5, np.nan, rows), [], 1, "index.npy: row 5 holds NaN"),
        (lambda rows: rows[0], [], 1, "expected two dimensions"),
        (lambda rows: rows, ["--sample", "0"], 2, "--sample is 0, --seed 0 and --least 0.99"),
        (lambda rows: rows, ["--least", "1.5"], 2, "a cosine above 0 up to 1"),
        (lambda rows: rows, ["--seed", "-1"], 2, "--seed -1"),
        (lambda rows: rows, ["--batch", "0"], 2, "--batch is 0"),
        (lambda rows: rows, ["--images", "{}/absent"], 1, "absent"),
    ],
)
def test_bad_input_is_one_sentence(own, capsys, change, options, code, said):
    capsys.readouterr()
    np.save(own / "index.npy", change(np.load(own / "by0.npy")))
    images = [] if "--images" in options else ["--images", str(own / "photos")]
    arguments = ["--index", str(own / "index.npy"), "--model", str(own / "model0.pth"), *PLAIN, *ON_CPU, *images]
    assert check_index.main([*arguments, *(each.format(own) for each in options)]) == code
    captured = capsys.readouterr()
    (error,) = [line for line in captured.err.splitlines() if line.startswith("bctlib check-index: ")]
    assert said in error and not captured.out and "Traceback" not in captured.err
