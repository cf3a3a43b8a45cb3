"""The page on an upgrade: the right sentence, the same numbers as the JSON, and nothing that a reader must fetch."""

import base64
import html.parser
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from upgrade_features import made_up

from bctlib.base.errors import BctError
from bctlib.data.photos.files import read_image
from bctlib.upgrade.report.command import report
from bctlib.upgrade.report.page import LISTED
from bctlib.upgrade.report.thumbnails import MOST_BYTES, SIDE, thumbnail
from bctlib.upgrade.report.verdict import RULE

MADE = made_up(n_classes=40, per_class=14, singles=120, worse=(3,), d=24, seed=1)
FAST = {"resamples": 100, "orders": 3}
VOID = {"meta", "img", "br", "wbr"}


class Page(html.parser.HTMLParser):
    """Tags that close, texts, addresses, images' texts, headings and tables of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.images, self.headings, self.texts, self.rows = [], [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href", "srcset", "data") if name in attributes]
        if tag == "img":
            self.images.append(attributes)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((int(self.open[-1][1]), data))
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A list of images, each a colour of its own, beside the images."""
    folder = tmp_path_factory.mktemp("images")
    for row in range(len(MADE["labels"])):
        Image.new("RGB", (90, 60), (row % 256, row // 256, 128)).save(folder / f"{row}.png")
    (folder / "list.txt").write_text("".join(f"{row}.png\n" for row in range(len(MADE["labels"]))))
    return folder / "list.txt"


@pytest.fixture(scope="module")
def compatible(pictures):
    return report(MADE["new"], MADE["old"], MADE["labels"], paragon_features=MADE["paragon"], images=pictures, **FAST)


@pytest.fixture(scope="module")
def written(compatible, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    paths = compatible.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    return paths[0].read_text(encoding="utf-8"), json.loads(paths[1].read_text(encoding="utf-8"))


def test_a_compatible_model_is_deployed(compatible):
    answer = compatible.judgement.answer
    assert answer.answer == "yes"
    assert answer.headline == "Yes: the new model can be deployed without backfill."
    assert all(point.decision == "yes" for point in compatible.judgement.points if point.decides)
    assert any("get worse" in reason or "gets worse beyond chance: 3." in reason for reason in answer.reasons)
    assert "Backfilling the whole gallery with this new model would bring" in compatible.summary()


def test_an_incompatible_model_is_not(tmp_path):
    page = report(MADE["foreign"], MADE["old"], MADE["labels"], **FAST)
    assert page.judgement.answer.answer == "no"
    assert page.judgement.answer.headline == "No: do not deploy the new model without backfill."
    assert all(point.decision == "no" and point.gain is None for point in page.judgement.points)
    assert "worse than the old system" in page.html()


def test_the_same_model_again_gains_nothing():
    page = report(MADE["old"], MADE["old"], MADE["labels"], **FAST)
    assert page.judgement.answer.answer == "no" and not any(point.eq2 for point in page.judgement.points)
    assert not page.judgement.changes and page.judgement.classes[0].change == "same"
    assert "No class gets worse." in page.html()


def test_a_model_hardly_better_is_left_undecided():
    rng = np.random.default_rng(3)
    new = MADE["old"] + 0.02 * rng.normal(size=MADE["old"].shape).astype(np.float32)
    page = report(new, MADE["old"], MADE["labels"], **FAST)
    assert page.judgement.answer.answer == "undecided"
    assert page.judgement.answer.headline.startswith("Not decided by these data")


def test_better_here_and_worse_there_is_no():
    kept = MADE["labels"] < 40
    labels, rng = MADE["labels"][kept], np.random.default_rng(0)
    old, new = MADE["old"][kept], MADE["new"][kept].copy()
    # Some classes fall on one point: their images are found at once, and strangers score highest of all.
    new[np.isin(labels, np.arange(10, 20))] = 3 + 0.05 * rng.normal(size=new.shape[1])
    page = report(new, old, labels, fpir=None, far=[1e-3], ranks=[5], **FAST)
    decisions = {point.name: point.decision for point in page.judgement.points if point.decides}
    assert set(decisions) == {"rank-5", "mAP", "TAR@FAR=0.001"} - {"mAP"}
    assert page.judgement.answer.answer == "no"


def test_few_identities_decide_nothing():
    few = MADE["labels"] < 6
    page = report(MADE["new"][few], MADE["old"][few], MADE["labels"][few], **FAST)
    assert page.judgement.answer.answer == "undecided"
    assert "Only 6 identities can be searched for and found" in page.judgement.answer.reasons[0]


def test_a_perfect_old_system_decides_nothing_there():
    labels = np.repeat(np.arange(30), 4)
    perfect = np.eye(30, dtype=np.float32)[labels] + 0.01 * np.random.default_rng(0).random((120, 30), np.float32)
    page = report(perfect, perfect, labels, ranks=[1], far=[0.01], **FAST)
    assert not any(point.decides for point in page.judgement.points)
    assert page.judgement.answer.answer == "undecided" and "nothing can beat it there" in page.summary()


def test_the_page_is_one_file_that_closes_its_tags(written):
    page = Page(written[0])
    assert page.open == []
    assert page.addresses and all(address.startswith("data:image/") for address in page.addresses)
    assert not re.search(r"<script|<link|@import|url\(", written[0])
    assert [level for level, _ in page.headings[:2]] == [1, 2]
    levels = [level for level, _ in page.headings]
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all(image["alt"].strip() for image in page.images)
    assert 'lang="en-GB"' in written[0] and 'name="viewport"' in written[0]
    assert len(written[0]) < 1_000_000


def test_the_page_says_the_numbers_of_the_json(written):
    page, content = Page(written[0]), written[1]
    text = "".join(page.texts)
    assert content["schema"] == "bctlib.report/1"
    assert content["answer"]["headline"] in text and RULE in text
    for point in content["points"]:
        rows = [row for row in page.rows if row[0].rstrip("*") == point["name"]]
        verdict, loss = rows[0], rows[1]
        assert verdict[2].startswith(f"{100 * point['old_old']:.2f}")
        assert verdict[3].startswith(f"{100 * point['new_old']:.2f}")
        low, high = 100 * point["difference_low"], 100 * point["difference_high"]
        assert verdict[4] == f"{100 * point['difference']:+.2f}{low:+.2f} to {high:+.2f}"
        assert point["difference"] == pytest.approx(point["new_old"] - point["old_old"])
        assert point["eq2"] == (point["new_old"] > point["old_old"])
        assert loss[3].startswith(f"{100 * point['lost_against_new/new']:.2f}")
        if point["update_gain"] is not None:
            room = point["lost_against_new*/new*"] + point["difference"]
            assert point["update_gain"] == pytest.approx(point["difference"] / room)
            assert loss[-1].startswith(f"{100 * point['update_gain']:.1f} %")
    for note in content["notes"]:
        assert note in text
    for each in content["classes"][:1]:
        assert each["name"] == "3" and any(row[0] == "3" for row in page.rows)
    assert {each["name"] for each in content["inputs"]} == {
        "query_features", "gallery_features", "paragon_features", "labels"
    }  # fmt: skip
    assert set(content["provenance"]) == {"device", "versions", "commit"}


def test_the_changed_retrievals_are_shown_with_their_pictures(written, compatible):
    page, content = Page(written[0]), written[1]
    shots = [image for image in page.images if image["src"].startswith("data:image/jpeg")]
    assert len(shots) == 4 * len(content["changes"]) and len(content["changes"]) == 10
    change = content["changes"][0]
    rows = [change["query_row"], change["old"]["top_row"], change["new"]["top_row"], change["new"]["mate_row"]]
    for shot, row in zip(shots, rows, strict=False):
        content = base64.b64decode(shot["src"].split(",", 1)[1])
        colour = np.asarray(Image.open(io.BytesIO(content)))[30, 45]
        assert np.abs(colour.astype(int) - [row % 256, row // 256, 128]).max() < 12
    assert len(compatible.judgement.pictures) <= 40


def test_classes_with_markup_in_their_names_stay_text():
    labels = np.array([f"<script>alert({label})</script>&" for label in MADE["labels"]])
    text = report(MADE["new"], MADE["old"], labels, **FAST).html()
    assert "<script>" not in text and "&lt;script&gt;alert(3)" in text
    assert Page(text).open == []


def test_the_same_seed_gives_the_same_numbers():
    def numbers(seed):
        return [
            p.difference for p in report(MADE["new"], MADE["old"], MADE["labels"], seed=seed, **FAST).judgement.points
        ]

    assert numbers(0) == numbers(0) != numbers(1)


def test_two_lists_with_old_features_that_are_narrower():
    query = np.arange(len(MADE["labels"])) % 2 == 0
    labels = MADE["labels"]
    page = report(
        MADE["new"][query], MADE["old"][~query], query_labels=labels[query], gallery_labels=labels[~query],
        old_query_features=MADE["old"][query], **FAST,
    )  # fmt: skip
    content = page.judgement.as_dict()
    assert content["form"] == "queries and gallery" and not content["backfill"]
    assert "lost_against_new/new" not in content["points"][0]
    assert content["counts"]["nonmated_queries"] == 60
    assert any("60 classes of the queries have no image in the gallery" in note for note in content["notes"])
    assert "--new-gallery-features" in page.html()
    assert Page(page.html()).open == []


def test_thumbnails_show_what_the_network_saw_and_are_small(tmp_path):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (700, 500, 3), np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6  # turn by a quarter to the right: the network does not
    noise.save(tmp_path / "noise.jpg", exif=turned)
    small = Image.open(io.BytesIO(shown(tmp_path / "noise.jpg")))
    assert small.height > small.width and max(small.size) <= SIDE and not small.getexif()
    assert len(shown(tmp_path / "noise.jpg")) <= MOST_BYTES
    Image.new("RGBA", (20, 20), (200, 10, 30, 0)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((20, 20), 32_896, np.uint16)).save(tmp_path / "deep.png")
    for name in ("clear.png", "deep.png"):
        seen = read_image(tmp_path / name).astype(int)
        assert np.abs(np.asarray(Image.open(io.BytesIO(shown(tmp_path / name)))) - seen).max() <= 4
    (tmp_path / "none.jpg").write_bytes(b"")
    with pytest.raises(BctError, match="none.jpg: is not an image that can be read"):
        thumbnail(tmp_path / "none.jpg")


def shown(path):
    """The JPEG that stands in the page."""
    return base64.b64decode(thumbnail(path).split(",", 1)[1])


def test_only_so_many_classes_are_listed():
    made = made_up(n_classes=40, per_class=14, worse=tuple(range(0, 30, 2)), d=24, seed=1)
    page = report(made["new"], made["old"], made["labels"], **FAST)
    sure = [each for each in page.judgement.classes if each.beyond_chance and each.change == "worse"]
    assert len(sure) > LISTED and f"the first {LISTED} of {len(sure)}" in page.html()
