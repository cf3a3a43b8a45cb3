"""Glyph identities: kanji as identities, typefaces as cameras."""
