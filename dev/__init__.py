"""Tools for development: benchmarks, the glyph set, the committed notebooks."""
