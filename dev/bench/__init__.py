"""Benchmarks on generated data of real size, beside other libraries and a plain loop measured in the same run."""

BENCHMARKS = ("evaluation", "heads", "training")
"""What `./reproduce.sh bench NAME` knows; each is a module here with a `main(words) -> exit status`."""
