"""A notebook's first call refuses what the notebook does not know."""

import pytest

from bctlib.base import locations
from bctlib.base.errors import UsageError
from companion import parameter_values, session
from companion.launcher.command_line import read_defaults

KNOWN = {"scale": "smoke", "seeds": [0], "device": "cpu", "force": False, "lam": 1.0}


def start(**changes):
    values = KNOWN | changes
    return session.start({**values, "np": object(), "_hidden": 1}, **values)


def test_a_count_of_seeds_and_a_list_of_them():
    assert start(seeds=3).seeds == (0, 1, 2)
    assert start(seeds=[4, 1]).seeds == (4, 1)
    assert [bench.seed for bench in start(seeds=[4, 1]).benches] == [4, 1]


def test_a_value_that_the_notebook_does_not_have_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="unknown parameter 'sede'.*did you mean 'seeds'"):
        session.start({**KNOWN, "sede": 4}, **KNOWN)


def test_what_later_cells_have_made_is_no_parameter_when_all_cells_run_again():
    parameters = "\n".join(f"{name} = {value!r}  # said" for name, value in KNOWN.items())
    cells = ["", parameters, "import numpy as np", "here = device_here()\nseconds = 0.1", "x = 5", "%matplotlib inline"]
    made = {"here": "cpu: a name", "seconds": 0.1, "x": 5, "In": cells}
    session.start({**KNOWN, **made}, **KNOWN)
    for stray in (f"{parameters}\nsede = 4", "# Parameters\nsede = 4\n"):
        with pytest.raises(UsageError, match="unknown parameter 'sede'"):
            session.start({**KNOWN, **made, "sede": 4, "In": [*cells, stray]}, **KNOWN)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": "nonsense"}, "unknown scale 'nonsense'"),
        ({"seeds": []}, "'seeds' is"),
        ({"seeds": [1, 1]}, "'seeds' is"),
        ({"seeds": 0}, "'seeds' is 0"),
        ({"seeds": [True]}, "'seeds' is"),
        ({"lam": -1.0}, "'lam' is -1.0, expected a number of 0 or more"),
        ({"lam": float("nan")}, "'lam' is nan"),
        ({"lam": float("inf")}, "'lam' is inf"),
        ({"lam": "0.5"}, "'lam' is '0.5', expected a number of 0 or more"),
        ({"kind": "tree"}, "'kind' is 'tree', expected one of flat, ivf, hnsw"),
        ({"n_queries": 17}, "'n_queries' is 17, expected a whole number from 1 to 16"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(changes, said):
    with pytest.raises(UsageError, match=said):
        start(**changes)


OF_ANOTHER_TYPE = {
    "text": "0.5", "number": 1.5, "whole number": 7, "truth": True, "list": ["desk"], "dictionary": {"a": 1},
    "None": None,
}  # fmt: skip
TAKES = {"lam": {"number", "whole number"}, "n_queries": {"whole number"}, "seeds": {"whole number"}} | dict.fromkeys(
    ("force", "tradeoff", "stronger", "identities", "long_chain", "followup_weights", "grandparents", "timings"),
    {"truth"},
)


@pytest.mark.parametrize("notebook", sorted(locations.notebooks_dir().glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_parameter_of_every_notebook_refuses_every_wrong_type_in_one_sentence(notebook):
    defaults = read_defaults(notebook)
    session.start(defaults, **defaults)
    for name in defaults:
        for kind, value in OF_ANOTHER_TYPE.items():
            changed = defaults | {name: value}
            if kind in TAKES.get(name, ()):
                session.start(changed, **changed)
                continue
            with pytest.raises(UsageError) as refused:
                session.start(changed, **changed)
            assert name in str(refused.value) and "\n" not in str(refused.value), (name, kind)


def test_the_kinds_of_index_are_those_there_are():
    from bctlib.upgrade.serve.kinds import KINDS

    assert parameter_values.PARAMETERS["kind"].expected == f"one of {', '.join(KINDS)}"
