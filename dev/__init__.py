"""For the builders: benchmarks, the glyph set, the committed notebooks."""
