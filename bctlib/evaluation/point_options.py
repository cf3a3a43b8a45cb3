"""Operating points on a command line, and what counts as a rate and as a rank there."""

import argparse


def add_points(parser: argparse.ArgumentParser, *names: str, otherwise: str = "else the paper's") -> None:
    """Options for the operating points `far`, `fpir`, `ranks`; `otherwise` says what is measured without them."""
    texts = {"far": "false accept rates", "fpir": "false positive identification rates"}
    for name, text in texts.items():
        if name in names:
            parser.add_argument(f"--{name}", type=_rate, nargs="+", metavar="RATE", help=f"{text} ({otherwise})")
    if "ranks" in names:
        parser.add_argument("--ranks", type=_rank, nargs="+", metavar="K", help=f"ranks k ({otherwise})")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate from 0 to 1")
    return rate


def _rank(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no rank from 1 on")
    return int(text)
