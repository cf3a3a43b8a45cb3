"""The names of the steps of an upgrade. Separate from `upgrade`, so that showing results does not load FAISS."""

DAY_0, NEW_QUERIES, NEW_ITEMS, END, ALL_DIMENSIONS = "day 0", "new queries", "new items", "end", "all dimensions"
BACKFILL = {"25 %": 0.25, "50 %": 0.5, "75 %": 0.75, END: 1.0}
"""Share of the first day's classes that is backfilled."""
STEPS = (DAY_0, NEW_QUERIES, NEW_ITEMS, *BACKFILL, ALL_DIMENSIONS)
