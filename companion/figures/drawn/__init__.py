"""The figures, a file per subject; what they share is one folder up."""
