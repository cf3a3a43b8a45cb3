"""`bench heads`: its arithmetic by hand, and that it runs."""

import pytest

from dev.bench import heads
from dev.bench.__main__ import main


def test_memory_and_work_by_hand():
    case = heads.Case("by hand", classes=1000, old=500, dim=10, batch=20)
    assert case.kept_mb == pytest.approx(4e-6 * (3 * 10_000 + 5_000))  # weights, gradient, momentum; frozen weights
    assert case.sent_mb == pytest.approx(0.04)
    assert case.working_mb == pytest.approx(4e-6 * (10_000 + 3 * 20_000 + 10_000))  # unit rows, logits, old ones
    few = heads.Case("few images", classes=1000, old=0, dim=10, batch=2)
    assert few.working_mb == pytest.approx(4e-6 * 4 * 10_000)
    assert case.gflop == pytest.approx(2e-9 * 20 * 10 * (3 * 1000 + 2 * 500))


def test_it_runs_and_prints_a_line_for_each_case(capsys):
    assert main(["heads", "--small", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines[-6:]] == ["paper"] * 3 + ["large"] * 3
    assert main(["heads", "--device", "gpu"]) == 2
    assert "unknown device 'gpu'" in capsys.readouterr().err
