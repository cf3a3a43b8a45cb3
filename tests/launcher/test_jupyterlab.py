"""The notebooks in JupyterLab, in a real browser: what a reader sees and does. `./reproduce.sh test long` runs it.

`BCT_SCREENSHOTS` names a folder for pictures of it all. Store, results and figures are in a temporary folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lab_browser import Lab, Run, find_chromium, lab_server, shut_down_kernels

from bctlib.base import locations

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium here: install one, or name it in BCT_CHROMIUM"),
]
NOTEBOOKS = sorted(path.name for path in locations.notebooks_dir().glob("*.ipynb"))
PATIENCE_S = 1800
"""Smoke scale takes a minute or two; on a machine that does other things besides, many more."""


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with lab_server(tmp_path_factory.mktemp("lab")) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def lab(address, browser) -> Iterator[Lab]:
    pictures = os.environ.get("BCT_SCREENSHOTS")
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    yield Lab(page, Path(pictures).resolve() if pictures else None)
    page.close()
    shut_down_kernels(address)


def check_outputs(lab: Lab) -> None:
    """Nothing failed or complained (JupyterLab draws an exception as stderr too), and every picture is there."""
    assert lab.outputs("application/vnd.jupyter.stderr") == []
    assert lab.images() and all(width > 0 and height > 0 for width, height in lab.images())


def check_run(lab: Lab, run: Run) -> None:
    """All cells ran, from top to bottom, and their progress moved and is gone."""
    check_outputs(lab)
    counts = [int(prompt.strip("[]: ")) for prompt in lab.prompts() if prompt.strip("[]: ")]
    assert counts == list(range(counts[0], counts[0] + len(counts)))
    assert lab.notebook.locator("progress").count() == 0


def check_progress(run: Run, label: str) -> None:
    """The bar of that label moved."""
    values = [value for name, value in run.bars if name == label]
    assert len(values) >= 3 and values == sorted(values), run.bars


def test_the_first_page_leads_to_the_tour(address, lab):
    lab.open_first_page(address)
    lab.picture("first-page")
    listed = [name for name in lab.page.locator(".jp-DirListing-itemText").all_text_contents() if "ipynb" in name]
    assert listed == NOTEBOOKS
    page = lab.page.locator(".jp-RenderedMarkdown")
    assert "Start here" in page.text_content() and "generated" not in page.text_content()
    page.locator("li a").first.click()
    lab.wait_for_kernel()
    assert lab.page.locator(".lm-TabBar-tab.lm-mod-current", has_text="00_tour.ipynb").count() == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_committed_notebook_is_shown_as_it_is(address, lab, name):
    notebook = nbformat.read(locations.notebooks_dir() / name, as_version=4)
    data = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    lab.open_notebook(address, name)
    images, tables = (sum(kind in of for of in data) for kind in ("image/png", "text/html"))
    lab.wait_for_outputs(tables, images)
    check_outputs(lab)
    assert (len(lab.tables()), len(lab.images())) == (tables, images)
    lab.pictures_of_all(f"committed-{Path(name).stem}")


def test_the_tour_runs_and_a_changed_parameter_changes_its_table(address, lab):
    lab.open_notebook(address, "00_tour.ipynb")
    lab.set_parameter("scale", '"smoke"')
    run = lab.run_all(PATIENCE_S, "tour")
    check_run(lab, run)
    check_progress(run, "old seed 0")
    check_progress(run, "new-bct-sys seed 0")
    hits, _ = lab.tables()
    assert "of 5" in hits
    before = lab.image_sources()
    lab.pictures_of_all("tour")

    lab.set_parameter("n_queries", "3")
    check_run(lab, lab.run_all(PATIENCE_S, "tour-again"))
    changed, _ = lab.tables()
    assert "of 3" in changed and "of 5" not in changed
    redrawn = [was != now for was, now in zip(before, lab.image_sources(), strict=True)]
    assert redrawn == [False, False, True, True, False, False]  # the gallery with its queries, and the answers
    lab.pictures_of_all("tour-again")


def test_the_baselines_run(address, lab):
    lab.open_notebook(address, "01_baselines.ipynb")
    lab.set_parameter("scale", '"smoke"')
    run = lab.run_all(PATIENCE_S, "baselines")
    check_run(lab, run)
    check_progress(run, "new-bct seed 0")
    assert len(lab.tables()) >= 5
    lab.pictures_of_all("baselines")


def test_a_wrong_parameter_is_one_sentence_at_the_end_of_its_cell(address, lab):
    lab.open_notebook(address, "00_tour.ipynb")
    lab.set_parameter("scale", '"smokey"')
    lab.run_all(PATIENCE_S, "wrong")
    lab.to_top()  # an output that nobody has looked at yet need not be there
    lab.page.wait_for_selector('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]')
    (error,) = lab.outputs("application/vnd.jupyter.stderr")  # as which JupyterLab draws an exception
    assert error.strip().endswith("did you mean 'smoke'?")
    lab.pictures_of_all("wrong")
