"""`bctlib evaluate`: the benchmarks' protocols on features computed anywhere; see its --help."""

import argparse
import sys
from pathlib import Path

from bctlib.base.command import EXIT_STATUS, Parser, add_points, run_command
from bctlib.base.errors import UsageError

DESCRIPTION = f"""\
Measures features computed anywhere, exactly: the first model's features are the query's, the second's the gallery's.
Prints a table; with --out DIR writes evaluation.json and the curves (PDF and PNG) there.
{EXIT_STATUS}"""
EXAMPLES = """\
examples:
  bctlib evaluate ijbc --meta IJBC/meta --query-features new.npy --gallery-features old.npy \\
      --paragon-features paragon.npy --out report
  bctlib evaluate market1501 --query-features new_q.npy --gallery-features old_g.npy \\
      --old-query-features old_q.npy --query-names query.txt --gallery-names gallery.txt
  bctlib evaluate pairs --pairs pairs.txt --query-features new.npy --gallery-features old.npy \\
      --old-query-features old.npy --new-gallery-features new.npy
  bctlib evaluate search --query-features new_q.npy --gallery-features old_g.npy \\
      --query-ids query.txt --gallery-ids gallery.txt
"""
SIDES = (
    ("--old-query-features", "the old model on the queries: gives old/old and the verdict of Eq. 2"),
    ("--new-gallery-features", "the new model on the gallery: gives new/new"),
    ("--paragon-query-features", "new* on the queries: with the next option, the update gain of Eq. 9"),
    ("--paragon-gallery-features", "new* on the gallery"),
)


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks and give the exit status; errors are one sentence on stderr."""
    return run_command("bctlib evaluate", lambda: _evaluate(_parser().parse_args(argv)))


def _evaluate(options: argparse.Namespace) -> None:
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise UsageError(f"--out {options.out} is a file: expected a folder")
    report = _COMMANDS[options.benchmark](options)
    print(report.table())
    if options.out is not None:
        _write(report, options.out)


def _write(report, folder: Path) -> None:
    from bctlib.upgrade.evaluate.curves import draw

    written = [report.save(folder), *draw(report, folder)]
    print(f"\nwritten to {folder}: {', '.join(path.name for path in written)}")


def _ijbc(options):
    from bctlib.upgrade.evaluate import evaluate_ijbc

    return evaluate_ijbc(
        options.meta, options.query_features, options.gallery_features, options.paragon_features,
        **_given(options, "far", "fpir", "ranks"), rule=options.rule, normalise_images=options.normalise_images,
        detector_score=not options.no_detector_score, halves=options.halves, curves=options.out is not None,
    )  # fmt: skip


def _market1501(options):
    from bctlib.data.paper.market1501 import labels_of_names, names_in_folder, read_names
    from bctlib.upgrade.evaluate import evaluate_market1501
    from bctlib.upgrade.evaluate.inputs import read_market_labels

    labels = {}
    for part in ("query", "gallery"):
        names, arrays = getattr(options, f"{part}_names"), getattr(options, f"{part}_labels")
        if sum(source is not None for source in (names, arrays, options.root)) != 1:
            raise UsageError(f"market1501 needs for the {part} either --{part}-names, --{part}-labels or --root")
        if arrays is not None:
            labels[part] = read_market_labels(f"--{part}-labels", arrays)
        elif names is not None:
            labels[part] = labels_of_names(read_names(names), str(names))
        else:
            labels[part] = labels_of_names(names_in_folder(options.root, part), str(options.root))
    return evaluate_market1501(
        options.query_features, options.gallery_features, labels["query"], labels["gallery"], **_sides(options),
        **_given(options, "ranks"), curves=options.out is not None,
    )  # fmt: skip


def _pairs(options):
    from bctlib.upgrade.evaluate import evaluate_pairs

    return evaluate_pairs(
        options.pairs, options.query_features, options.gallery_features, **_sides(options), **_given(options, "far"),
        rule=options.rule, curves=options.out is not None,
    )  # fmt: skip


def _search(options):
    from bctlib.upgrade.evaluate import evaluate_search

    return evaluate_search(
        options.query_features, options.gallery_features, options.query_ids, options.gallery_ids, **_sides(options),
        **_given(options, "fpir", "ranks"), rule=options.rule, curves=options.out is not None,
    )  # fmt: skip


_COMMANDS = {"ijbc": _ijbc, "market1501": _market1501, "pairs": _pairs, "search": _search}


def _sides(options) -> dict[str, Path | None]:
    names = [option.lstrip("-").replace("-", "_") for option, _ in SIDES]
    return {name: getattr(options, name) for name in names}


def _given(options, *names: str) -> dict:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="bctlib evaluate", description=DESCRIPTION, epilog=EXAMPLES)
    commands = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK", parser_class=Parser)

    ijbc = commands.add_parser("ijbc", help="IJB-C: 1:1, 1:N, backfill")
    ijbc.add_argument("--meta", type=Path, required=True, metavar="DIR", help="the meta/ folder of IJB-C")
    _features(ijbc, "one row per line of ijbc_face_tid_mid.txt", gallery_required=False)
    ijbc.add_argument("--paragon-features", type=Path, metavar="NPY", help="of new*: gives the update gain of Eq. 9")
    ijbc.add_argument("--normalise-images", action="store_true", help="N0: normalise image features before pooling")
    ijbc.add_argument("--no-detector-score", action="store_true", help="D0: do not weight images by detector score")
    ijbc.add_argument("--halves", action="store_true", help="F1: rows hold f(x) and f(flip x) side by side")
    _points(ijbc, "far", "fpir", "ranks", "rule")

    market = commands.add_parser("market1501", help="Market-1501: mAP and CMC")
    _features(market, "rows in the order of the names", gallery_required=True)
    _side_options(market)
    for part in ("query", "gallery"):
        market.add_argument(f"--{part}-names", type=Path, metavar="TXT", help=f"{part} images named like Market-1501's")
        market.add_argument(f"--{part}-labels", type=Path, metavar="NPY", help="or integers [n, 2]: identity, camera")
    market.add_argument("--root", type=Path, metavar="DIR", help="or the data set's folder; names in sorted order")
    _points(market, "ranks")

    pairs = commands.add_parser("pairs", help="1:1 on your own list of pairs")
    pairs.add_argument(
        "--pairs", type=Path, required=True, metavar="FILE",
        help="lines (or .npy [p, 3]) of query row, gallery row, label; rows count from 0, label 1 is genuine",
    )  # fmt: skip
    _features(pairs, "rows as the pairs count them", gallery_required=False)
    _side_options(pairs)
    _points(pairs, "far", "rule")

    search = commands.add_parser("search", help="1:N on your own gallery")
    _features(search, "rows in the order of the identities", gallery_required=True)
    for part in ("query", "gallery"):
        search.add_argument(
            f"--{part}-ids", type=Path, required=True, metavar="FILE", help="an identity on each line, or .npy [n]"
        )
    _side_options(search)
    _points(search, "fpir", "ranks", "rule")
    for command in commands.choices.values():
        command.add_argument("--out", type=Path, metavar="DIR", help="write evaluation.json and the curves here")
    return parser


def _features(parser, rows: str, gallery_required: bool) -> None:
    parser.add_argument(
        "--query-features", type=Path, required=True, metavar="NPY", help=f"of the new model, [n, d]; {rows}"
    )
    alone = "" if gallery_required else "; without it the new model is tested with itself"
    parser.add_argument(
        "--gallery-features", type=Path, required=gallery_required, metavar="NPY", help=f"of the old model{alone}"
    )


def _side_options(parser) -> None:
    for option, text in SIDES:
        parser.add_argument(option, type=Path, metavar="NPY", help=text)


def _points(parser, *names: str) -> None:
    add_points(parser, *names)
    if "rule" in names:
        parser.add_argument(
            "--rule", choices=("strict", "nearest"), default="strict",
            help="strict: never above the asked rate, ties count against us; nearest: the ROC corner nearest to it",
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
