"""Is an upgrade worth deploying without backfill? Verdict, intervals and evidence from features of both models.

    from bctlib.upgrade.report import report
    page = report("new.npy", "old.npy", labels="labels.txt")
    page.save("judged")

The steps, which `judge` calls in this order: `inputs` (check what was given), `searches` (what each query finds, what
each pair scores), `resampling` (bootstrap over identities), `measures` (operating points with their replicates),
`verdict` (Eq. 2, Eq. 9 and the answer), `evidence` (backfill curve, scores, classes, retrievals), `thumbnails`. `page`
makes the HTML page, and the command is `bctlib report`.
"""

from bctlib.upgrade.report.command import report

__all__ = ["report"]
