"""Benchmarks: generated data of the real sizes, seconds and peak memory of each stage, peers in the same run."""

BENCHMARKS = ("evaluation",)
"""What `./reproduce.sh bench NAME` knows; each is a module here with a `main(words) -> exit status`."""
