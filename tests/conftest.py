"""What all tests share: one thread, and a store of their own for those that ask for it."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def store_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store that `BCT_STORE` names, not yet made."""
    folder = tmp_path / "store"
    monkeypatch.setenv("BCT_STORE", str(folder))
    return folder


@pytest.fixture
def float32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bfloat16 even where the processor has it: for values that are compared with hand-computed ones."""
    monkeypatch.setattr("bctlib.training.devices.has_bf16", lambda device: False)
