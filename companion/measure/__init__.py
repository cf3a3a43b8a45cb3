"""Measures behind the paper's tables and figures, one file per protocol."""
