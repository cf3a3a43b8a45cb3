"""A notebook's first call refuses what the notebook does not know."""

import pytest

from bctlib import notebook_session
from bctlib.errors import UsageError

KNOWN = {"scale": "smoke", "seeds": [0], "device": "cpu", "force": False, "lam": 1.0}


def start(**changes):
    values = KNOWN | changes
    return notebook_session.start({**values, "np": object(), "_hidden": 1}, **values)


def test_a_count_of_seeds_and_a_list_of_them():
    assert start(seeds=3).seeds == (0, 1, 2)
    assert start(seeds=[4, 1]).seeds == (4, 1)
    assert [bench.seed for bench in start(seeds=[4, 1]).benches] == [4, 1]


def test_a_value_that_the_notebook_does_not_have_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="unknown parameter 'sede'.*did you mean 'seeds'"):
        notebook_session.start({**KNOWN, "sede": 4}, **KNOWN)


def test_what_later_cells_have_made_is_no_parameter_when_all_cells_run_again():
    parameters = "\n".join(f"{name} = {value!r}  # said" for name, value in KNOWN.items())
    cells = ["", parameters, "import numpy as np", "here = device_here()\nseconds = 0.1", "x = 5", "%matplotlib inline"]
    made = {"here": "cpu: a name", "seconds": 0.1, "x": 5, "In": cells}
    notebook_session.start({**KNOWN, **made}, **KNOWN)
    for stray in (f"{parameters}\nsede = 4", "# Parameters\nsede = 4\n"):
        with pytest.raises(UsageError, match="unknown parameter 'sede'"):
            notebook_session.start({**KNOWN, **made, "sede": 4, "In": [*cells, stray]}, **KNOWN)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": "nonsense"}, "unknown scale 'nonsense'"),
        ({"seeds": []}, "'seeds' is"),
        ({"seeds": [1, 1]}, "'seeds' is"),
        ({"seeds": 0}, "'seeds' is 0"),
        ({"seeds": [True]}, "'seeds' is"),
        ({"lam": -1.0}, "'lam' is -1.0, expected 0 or more"),
        ({"lam": float("nan")}, "'lam' is nan"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(changes, said):
    with pytest.raises(UsageError, match=said):
        start(**changes)
