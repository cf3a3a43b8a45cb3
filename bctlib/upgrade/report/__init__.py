"""Is an upgrade worth deploying without backfill? Verdict, intervals and evidence from features of both models.

`inputs` (what was handed over), `searches` and `pairs` (what each query found, what each pair scored), `resampling`
(identities drawn again), `measures` (operating points with their replicates), `verdict` (Eq. 2, Eq. 9 and the answer),
`backfill_band`, `score_histograms`, `classes`, `changes` (the evidence), `thumbnails`, and `judge`, which does all of
it. `bctlib report` is the command, `bctlib.upgrade.report.page` the page.
"""
