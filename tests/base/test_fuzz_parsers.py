"""Whatever a file or a command line holds, a parser understands it or says in one sentence why not.

Some hundred inputs each in every run, always the same; `./reproduce.sh test long` tries 10,000 others.
"""

import resource
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from parser_cases import PARSERS

from bctlib.base.errors import BctError
from bctlib.base.files import map_array

FEW, MANY = 100, 10_000
SLOW = {"artefact": 40, "ijbc_meta": 40}
"""Fewer of those that read several files or build a network."""
MOST_MEMORY = 1 << 30
"""Bytes that a parser may ask for beyond what the process has, whatever a header claims."""


@contextmanager
def memory_bounded():
    """A request for more than MOST_MEMORY fails inside, where the system can do that."""
    pages = Path("/proc/self/statm")
    before = resource.getrlimit(resource.RLIMIT_AS)
    if pages.exists():
        now = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MOST_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def check(parse: Callable[[Any], object], given: Any) -> None:
    """It is parsed, or refused in one sentence."""
    try:
        parse(given)
    except BctError as error:
        sentence = str(error)
        assert sentence.strip() and "Traceback" not in sentence
        assert "\n" not in sentence and "\r" not in sentence, sentence


def fuzz(name: str, folder: Path, examples: int, always_the_same: bool) -> None:
    case = PARSERS[name](folder)
    case.parse(case.valid)

    @settings(
        max_examples=examples, derandomize=always_the_same, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case.inputs)
    def try_one(given: Any) -> None:
        with memory_bounded():
            check(case.parse, given)

    try_one()
    assert not (folder / "exploded").exists(), "a pickle was executed"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    for name in ("STORE", "RESULTS"):
        monkeypatch.setenv(f"BCT_{name}", str(tmp_path / name.lower()))
    return tmp_path


@pytest.mark.parametrize("name", PARSERS)
def test_a_few_damaged_inputs(name, folder):
    fuzz(name, folder, SLOW.get(name, FEW), always_the_same=True)


@pytest.mark.long
@pytest.mark.parametrize("name", PARSERS)
def test_many_damaged_inputs(name, folder):
    fuzz(name, folder, MANY, always_the_same=False)


@pytest.mark.parametrize("elements", ["|V0", "|S0", "[('a', '|V0')]", "('<f4', (0,))"])
def test_an_array_whose_elements_have_no_size(elements, tmp_path):
    """NumPy divides by that size where the shape is negative as well: no exception, the end of the process."""
    described = elements if elements[0] in "[(" else repr(elements)
    header = f"{{'descr': {described}, 'fortran_order': False, 'shape': (-1,)}}"
    text = header.ljust(117).encode() + b"\n"
    path = tmp_path / "empty.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))
    with pytest.raises(BctError, match="empty.npy holds elements of no size: expected an array of numbers"):
        map_array(path)
