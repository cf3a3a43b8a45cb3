"""From trained models to measurements: plans, runs, tidy results."""
