"""Benchmarks on generated data of the real sizes, beside what others do, measured in the same run."""

BENCHMARKS = ("evaluation", "heads", "training")
"""What `./reproduce.sh bench NAME` knows; each is a module here with a `main(words) -> exit status`."""
