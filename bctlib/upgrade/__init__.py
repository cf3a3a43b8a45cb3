"""A system of one's own: train, embed, evaluate, report, serve."""
