"""The evidence beside the verdict, one kind in each file: `flips`, `changes` (retrievals that change most), `backfill`
(the curve over random orders), `classes` (who gets worse), `scores` (distributions)."""
