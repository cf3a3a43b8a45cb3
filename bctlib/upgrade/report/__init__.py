"""Is an upgrade worth deploying without backfill? Verdict, intervals and evidence from features of both models.

    from bctlib.upgrade.report import report
    page = report("new.npy", "old.npy", labels="labels.txt")
    page.save("judged")

`inputs` (what was handed over), `searches` (what each query found, what each pair scored), `resampling` (the bootstrap
of identities), `measures` (operating points with their replicates), `verdict` (Eq. 2, Eq. 9 and the answer),
`evidence` (backfill curve, scores, classes, retrievals), `thumbnails`, and `judge`, which does all of it. `bctlib
report` is the command, `page` the HTML page.
"""

from bctlib.upgrade.report.command import report

__all__ = ["report"]
