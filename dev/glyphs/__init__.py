"""Builds the glyph set from free typefaces."""
