"""Is an upgrade worth deploying without backfill? Verdict, intervals and evidence from features of both models.

    from bctlib.upgrade.report import report
    page = report("new.npy", "old.npy", labels="labels.txt")
    page.save("judged")

The steps, which `judge` calls in this order: `inputs` (check what was given), `measured` (searches, pairs, bootstrap
over identities, accuracies), `verdict` (Eq. 2, Eq. 9 and the answer), `evidence` (flips, backfill curve, scores,
classes, retrievals), `thumbnails`. `page` makes the HTML page, and the command is `bctlib report`.
"""

from bctlib.upgrade.report.command import report

__all__ = ["report"]
