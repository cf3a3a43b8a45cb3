"""A system of your own: train, embed, align, evaluate, report, serve."""
