"""Glyph identities: images, splits, distortions and evaluation protocols."""
