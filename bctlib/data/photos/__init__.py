"""Image files on disk: index, reading, framing, distortion."""
