"""Figures, drawn from committed results and data alone."""
