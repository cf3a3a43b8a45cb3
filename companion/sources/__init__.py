"""Where a scale takes its data from: glyphs, or the data sets of the paper."""
