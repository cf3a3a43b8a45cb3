"""The whole way of an engineer in one piece: `python tests/upgrade/train/upgrade_walk.py` runs and times the same."""

import numpy as np
import pytest
from upgrade_walk import BACKFILL, NEW, OLD, Walk, images_and_old_model, live_upgrade, upgraded

from bctlib.base.errors import BctError
from bctlib.upgrade.serve.live_index import LiveIndex

pytestmark = pytest.mark.long


def test_from_a_folder_of_images_to_the_end_of_a_backfill(tmp_path):
    walk = Walk(tmp_path)
    images_and_old_model(walk)
    log, judged = upgraded(walk)
    assert f"{len(NEW)} classes in both, 0 only old, 0 only new" in log, "all have features of the old model"
    assert not set(NEW) <= set(OLD), "which never saw some of them"
    accuracy = live_upgrade(walk)
    day_0, new_queries, *_, end, loaded = accuracy.values()
    assert len(accuracy) == 3 + len(BACKFILL) + 1 and end == loaded
    assert end > day_0, "the new model is the better one"

    page = (tmp_path / "judged" / "report.html").read_text()
    assert judged["answer"]["headline"] in page and judged["answer"]["answer"] in ("yes", "no", "undecided")
    index = LiveIndex.load(tmp_path / "gallery.index")
    assert index.models == {"new": len(index)}
    with pytest.raises(BctError, match="stranger"):
        index.search(np.ones((1, index.dim), np.float32), "stranger")
