"""Arguments of the Python functions that no command line would let through."""

import pytest

from bctlib.base.errors import UsageError
from bctlib.data.photos.framing import check_size
from bctlib.upgrade.train import train_new_model


@pytest.mark.parametrize("size", [32, (32,), (32, 32, 32), (0, 0), (2.5, 3), "32", (True, 32)])
def test_an_image_size_is_two_whole_numbers(size, tmp_path):
    with pytest.raises(UsageError, match="image_size is .* expected .height, width.: two whole numbers"):
        train_new_model(tmp_path, tmp_path / "m.safetensors", method="independent", image_size=size)


@pytest.mark.parametrize("size", [None, (32, 48), [16, 16]])
def test_sizes_that_are_right(size):
    check_size(size)


@pytest.mark.parametrize("given", [{"batch": 2.5}, {"epochs": 1.5}, {"seed": 0.5}, {"dim": 8.5}])
def test_counts_are_whole_numbers(given, tmp_path):
    with pytest.raises(UsageError, match="a whole number"):
        train_new_model(tmp_path, tmp_path / "m.safetensors", method="independent", **given)
