"""Fit and apply maps into an old model's space: `bctlib align --help`."""

import argparse
import sys
from pathlib import Path

import numpy as np

from bctlib.base.command import EXIT_STATUS, Parser, run_command
from bctlib.base.errors import UsageError
from bctlib.base.files import replace_atomically
from bctlib.upgrade.align.fitting import fit
from bctlib.upgrade.align.kinds import FILTER, KINDS, MIDPOINT, NAMES, SPAN_FILTER
from bctlib.upgrade.align.mapping import Map
from bctlib.upgrade.align.open_set import OpenSet

_ABOUT = {name: kind.about for name, kind in KINDS.items()} | {
    SPAN_FILTER: f"{FILTER.about} (--head; for a new model trained to be compatible)",
    MIDPOINT: "the mean of the mapped query and the old query (--of, --weight)",
}
_WIDTH = max(map(len, NAMES))
_KINDS = "\n".join(f"  {name:<{_WIDTH}}  {about}" for name, about in _ABOUT.items())
DESCRIPTION = f"""\
Maps a new model's features into an old model's space without training, so that new queries can search the old gallery.

To fit a map, embed the same training images with both models: --new, --old, --out MAP.safetensors. To use it on
queries: --apply MAP.safetensors, --features, --new-id, --out NPY. A map leads from the new model to the old one and
knows both ids: it refuses features of other models. Test it on identities that it was not fitted to: bctlib report.

kinds of map:
{_KINDS}

Without --strength, the strength is chosen on a tenth of the identities (--identities) or of the pairs, or on the pairs
of --held-out, and the map is then fitted to all pairs. With --validation-new, --validation-old and
--validation-identities (images of identities that are in no pair) it is chosen by open-set search instead: TPIR at
--fpir, which decides otherwise than the mean cosine where thresholds are strict.
{EXIT_STATUS}"""
EXAMPLES = """\
examples:
  bctlib align --new v2.npy --old v1.npy --out map.safetensors
  bctlib align --new v2.npy --old v1.npy --kind midpoint --identities v2.labels.txt --out map.safetensors
  bctlib align --new v2.npy --old v1.npy --validation-new val2.npy --validation-old val1.npy \\
      --validation-identities val2.labels.txt --out map.safetensors
  bctlib align --kind span-filter --head v1_head.npy --strength 0.01 --new-id v2 --old-id v1 --out map.safetensors
  bctlib align --apply map.safetensors --features queries.npy --new-id v2 --old-id v1 --out mapped.npy
"""
_FIT = (
    "new", "old", "kind", "strength", "head", "held_out", "identities", "share", "seed", "of", "weight",
    "validation_new", "validation_old", "validation_identities", "fpir",
)  # fmt: skip
_APPLY = ("features", "old_queries")


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks and give the exit status; errors are one sentence on stderr."""
    return run_command("bctlib align", lambda: _align(vars(_parser().parse_args(argv))))


def _align(options: dict) -> None:
    given = {name: value for name, value in options.items() if value is not None}
    applied = "apply" in given
    foreign = [name for name in (_FIT if applied else _APPLY) if name in given]
    if foreign:
        option = f"--{foreign[0].replace('_', '-')}"
        raise UsageError(f"{option} is for {'fitting a map' if applied else 'applying one'}: --apply {_SAYS[applied]}")
    out = given.pop("out")
    suffix = ".npy" if applied else ".safetensors"
    if out.is_dir() or out.suffix != suffix:
        raise UsageError(f"--out {out}: expected the name of a file that ends in {suffix}")
    _apply(given, out) if applied else _fit(given, out)


_SAYS = {True: "was given", False: "was not given"}


def _fit(given: dict, out: Path) -> None:
    for name in ("new", "old"):
        if name not in given and given.get("kind") != SPAN_FILTER:
            raise UsageError(f"--{name} is missing: expected features of both models, or --apply with a map")
        if f"{name}_id" not in given:
            if name not in given:
                raise UsageError(f"--{name}-id is missing: without --{name} nothing else names the model")
            given[f"{name}_id"] = given[name].stem
    judge = _judge(given)
    made = fit(given.pop("new", None), given.pop("old", None), judge=judge, **given)
    made.save(out)
    d_new, d_old = made.matrix.shape
    print(f"{made.kind} map from {made.new!r} ({d_new} dimensions) to {made.old!r} ({d_old}), {made.pairs:,} pairs")
    if made.strength is not None:
        print(f"strength {made.strength:g}, {'given' if made.chosen_on is None else f'chosen on {made.chosen_on}'}")
    print(f"written to {out}, digest {made.digest[:12]}")


_VALIDATION = ("validation_new", "validation_old", "validation_identities")


def _judge(given: dict) -> OpenSet | None:
    """What the strength is chosen by, if validation identities were given; their options are taken out of `given`."""
    there = [name for name in (*_VALIDATION, "fpir") if name in given]
    if not there:
        return None
    if missing := [name for name in _VALIDATION if name not in given]:
        option, first = (name.replace("_", "-") for name in (missing[0], there[0]))
        raise UsageError(f"--{option} is missing: --{first} takes all three of --validation-new, -old and -identities")
    fpir = {"fpir": given.pop("fpir")} if "fpir" in given else {}
    return OpenSet(*(given.pop(name) for name in _VALIDATION), **fpir)


def _apply(given: dict, out: Path) -> None:
    for name in ("features", "new_id"):
        if name not in given:
            what = "the features to map" if name == "features" else "the id of the model that made the features"
            raise UsageError(f"--{name.replace('_', '-')} is missing: --apply expects {what}")
    made = Map.load(given["apply"])
    mapped = made.apply(given["features"], given["new_id"], given.get("old_id"), given.get("old_queries"))
    replace_atomically(out, lambda temporary: np.save(temporary, mapped))
    print(f"{len(mapped):,} features of {made.new!r} in the space of {made.old!r}, written to {out}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="bctlib align", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the map, or the mapped features")
    parser.add_argument("--new-id", metavar="ID", help="of the new model (fitting: else the name of --new's file)")
    parser.add_argument("--old-id", metavar="ID", help="of the old model (fitting: else the name of --old's file)")
    fitting = parser.add_argument_group("fit a map")
    fitting.add_argument("--new", type=Path, metavar="NPY", help="the new model's features, [n, d_new]")
    fitting.add_argument("--old", type=Path, metavar="NPY", help="the old model's features of the same images")
    fitting.add_argument("--kind", choices=NAMES, help="default: ridge")
    fitting.add_argument("--strength", type=float, metavar="X", help="of the kind, e.g. the ridge; a rank for low-rank")
    fitting.add_argument(
        "--identities", type=Path, metavar="FILE", help="the identity of each pair, hold out whole ones"
    )
    fitting.add_argument(
        "--held-out", type=Path, metavar="NPY", help="row numbers of the pairs to choose the strength on"
    )
    fitting.add_argument("--share", type=float, metavar="X", help="of identities or pairs that is held out (0.1)")
    fitting.add_argument("--seed", type=_seed, metavar="N", help="of the pairs that are held out (0)")
    validation = parser.add_argument_group("choose the strength by open-set search")
    validation.add_argument("--validation-new", type=Path, metavar="NPY", help="the new model's features, [n, d_new]")
    validation.add_argument("--validation-old", type=Path, metavar="NPY", help="the old model's, of the same images")
    validation.add_argument("--validation-identities", type=Path, metavar="FILE", help="the identity of each image")
    validation.add_argument("--fpir", type=float, metavar="X", help="false positive identification rate (0.01)")
    fitting.add_argument("--head", type=Path, metavar="NPY", help="span-filter: rows of the old classifier")
    fitting.add_argument("--of", choices=NAMES[:-1], help="midpoint: the kind that maps the query (ridge)")
    fitting.add_argument("--weight", type=float, metavar="X", help="midpoint: of the mapped query (0.5)")
    applying = parser.add_argument_group("apply a map")
    applying.add_argument("--apply", type=Path, metavar="MAP", help="the map's file")
    applying.add_argument("--features", type=Path, metavar="NPY", help="of the new model, [n, d_new]")
    applying.add_argument(
        "--old-queries", type=Path, metavar="NPY", help="midpoint: of the old model, the same queries"
    )
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
