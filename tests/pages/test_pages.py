"""README and docs: links and anchors lead somewhere, every name exists, and code is of a kind that tests execute."""

import pkgutil
import re
import tomllib

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from pages import PAGES, anchors, blocks, languages, links, page_text, prose
from tiny import tiny_recipe, tiny_set

from bctlib.base.locations import PROJECT
from bctlib.methods import METHODS, OldModel
from bctlib.training.loop import train

# Where each page's Python is executed, block by block: a block more or less fails there.
EXECUTED = {
    "README.md": "test_custom_loops.py",
    "docs/training.md": "test_custom_loops.py",
    "docs/align.md": "test_align_command.py",
    "docs/evaluation.md": "test_evaluation_command.py",
    "docs/report.md": "test_report_command.py",
    "docs/live-upgrade.md": "test_serving_database.py",
    "docs/how-it-is-built.md": "test_pages.py",
}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_lead_somewhere(page):
    for link in links(page):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = ((PROJECT / page).parent / path).resolve() if path else PROJECT / page
            assert target.exists() and target.is_relative_to(PROJECT), link
            assert not anchor or anchor in anchors(target.relative_to(PROJECT).as_posix()), link


@pytest.mark.parametrize("page", PAGES)
def test_headings_differ_and_code_is_of_a_known_kind(page):
    assert len(set(anchors(page))) == len(anchors(page))
    assert set(languages(page)) <= {"bash", "python", "bibtex", "text"}
    assert page_text(page).count("```") == 2 * len(languages(page))


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_tests_named_on_a_page_exist(page):
    for name in re.findall(r"\b(?:bctlib|companion|dev)(?:\.[A-Za-z_]\w*)+", page_text(page)):
        assert pkgutil.resolve_name(name), name
    for path in re.findall(r"\btests/[\w/]+\.py\b", page_text(page)):
        assert (PROJECT / path).is_file(), path


def test_every_page_with_python_is_executed_by_a_test():
    assert {page for page in PAGES if blocks(page, "python")} == set(EXECUTED)
    for page, test in EXECUTED.items():
        (path,) = (PROJECT / "tests").rglob(test)
        assert f'blocks("{page}", "python")' in path.read_text(encoding="utf-8")


def test_the_front_page_is_short_and_the_contents_page_complete():
    assert len(page_text("README.md").splitlines()) < 150
    listed = {link for link in links("docs/README.md") if "/" not in link}
    assert listed == {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")} - {"README.md"}


def test_the_citation_is_that_of_citation_cff():
    (bibtex,) = blocks("README.md", "bibtex")
    cited = yaml.safe_load(page_text("CITATION.cff"))["preferred-citation"]
    assert f"doi       = {{{cited['doi']}}}" in bibtex and f"{{{cited['title']}}}" in bibtex
    assert f"{{{cited['start']}--{cited['end']}}}" in bibtex and f"{{{cited['year']}}}" in bibtex
    people = " and ".join(f"{each['family-names']}, {each['given-names']}" for each in cited["authors"])
    assert f"{{{people}}}" in bibtex
    assert cited["url"] in links("README.md")


def test_each_dependency_has_its_reason():
    settings = tomllib.loads(page_text("pyproject.toml"))
    project = settings["project"]
    groups = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    lines = [each for group in (*groups, *settings["dependency-groups"].values()) for each in group]
    wanted = {Requirement(line).name for line in lines if isinstance(line, str)} - {project["name"]}
    table = prose("docs/how-it-is-built.md").split("\n## Dependencies\n")[1]
    names = re.findall(r"^\| ([\w-]+) \| \w+ \| \S.+ \|$", table, re.MULTILINE)
    assert sorted(names) == sorted({*wanted, "package"})


def test_the_tree_is_the_tree():
    (tree,) = blocks("docs/how-it-is-built.md", "text")
    package = ""
    for line in tree.splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split()
        package = package if line.startswith(" ") else ""
        assert all((PROJECT / package / name).exists() for name in names), line
        package = package or names[0]


def test_the_method_of_the_page_trains(monkeypatch):
    """Its loss is what the page says, and a model trained with it lies closer to the old class means."""
    (block,) = blocks("docs/how-it-is-built.md", "python")
    space = {"__package__": "bctlib.methods"}  # where the page says that its file lies
    exec(block, space)
    monkeypatch.setitem(METHODS, "pull", space["Pull"])
    first = train(tiny_recipe(dim=6, epochs=8), tiny_set("ac"), None, torch.device("cpu"))
    old = OldModel(first.backbone, first.head, first.classes)
    images, labels = next(iter(tiny_set().plain_batches()))
    means = torch.stack([torch.nn.functional.normalize(old.embed(images[labels == c])).mean(0) for c in range(4)])

    def distance(method: str) -> float:
        recipe = tiny_recipe(method=method, old="0" * 16, epochs=8)
        new = train(recipe, tiny_set(), None if method == "independent" else old, torch.device("cpu"))
        z = new.backbone(images)[:, :6]
        return (1 - torch.nn.functional.cosine_similarity(z, means[labels])).mean().item()

    assert distance("pull") < 0.5 * distance("independent")
