"""`./reproduce.sh bench evaluation`: times the evaluation, stage by stage, on generated features of real size."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.files import replace_atomically
from bctlib.base.provenance import provenance
from bctlib.data.paper.ijbc import read_ijbc_meta
from bctlib.data.templates import templates_by_media
from bctlib.metrics import backfill_curve, mean_average_precision, tar_at_far
from bctlib.metrics.identification import rank_k_over_galleries, search, tpir_over_galleries
from bctlib.metrics.retrieval import rank_gallery
from bctlib.metrics.verification import pair_scores
from bctlib.upgrade.evaluate import evaluate_ijbc
from bctlib.upgrade.report import report
from dev.bench import peers
from dev.bench.figures import draw_growth
from dev.bench.generated import (
    REAL,
    SMALL,
    Sizes,
    generate_ijbc,
    generate_market,
    generate_upgrade,
    image_features,
    write_meta,
)
from dev.bench.measure import BenchParser, Timing, load, measure

SAME = 1e-5
"""Tolerance of a comparison: peers that round scores to float32 create ties, which change a mean by about 1e-6."""
FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
FPIRS = (1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Line:
    """One line of the table. who: "bctlib" or the peer; ratio: the peer's seconds over ours; agrees: same result."""

    stage: str
    who: str
    timing: Timing
    ratio: float | None = None
    agrees: bool | None = None


class Bench:
    """Runs stages, prints each as it ends, and keeps the lines."""

    def __init__(self, sizes: Sizes, with_peers: bool):
        self.sizes, self.with_peers, self.lines = sizes, with_peers, []

    def stage(self, name: str, work: Callable, repeats: int = 1):
        """Measure our own code for a stage and return its result."""
        timing, result = measure(work, repeats)
        self._add(Line(name, "bctlib", timing))
        return result

    def peer(self, name: str, work: Callable, expected) -> None:
        """Measure a peer on the last stage and compare its result with `expected`, unless that is None."""
        if not self.with_peers:
            return
        ours = next(line for line in reversed(self.lines) if line.who == "bctlib")
        timing, result = measure(work)
        agrees = None if expected is None else bool(np.allclose(result, expected, rtol=0, atol=SAME))
        self._add(Line(ours.stage, name, timing, timing.seconds / ours.timing.seconds, agrees))

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        print(_text(line), flush=True)


def main(words: list[str]) -> int:
    """`bench evaluation [--small] [--no-peers] [--only STAGES] [--out DIR]`; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(words)
    sizes = SMALL if options.small else REAL
    busy = load()
    print(f"cores {os.cpu_count()}, load before {busy:.1f}" if busy is not None else f"cores {os.cpu_count()}")
    if busy is not None and busy > 0.5:
        print("the machine is busy: seconds are too long, and ratios rough")
    print(f"{'stage':<28}{'who':<28}{'seconds':>9}{'CPU s':>9}{'peak MB':>9}{'ratio':>8}  same result")
    bench = Bench(sizes, not options.no_peers)
    with tempfile.TemporaryDirectory(prefix="bct-bench-") as temporary, _store_at(Path(temporary) / "store"):
        if "ijbc" in options.only:
            _ijbc(bench, Path(temporary))
        if "market" in options.only:
            _market(bench)
        if "growth" in options.only:
            _growth(bench)
        if "report" in options.only:
            _report(bench)
    if options.out is not None:
        _write(bench, options.out, busy)
    wrong = [line for line in bench.lines if line.agrees is False]
    if wrong:
        names = ", ".join(f"{line.who} on {line.stage}" for line in wrong)
        raise BctError(f"results differ from ours: {names}")
    return 0


def _ijbc(bench: Bench, folder: Path) -> None:
    sizes, data = bench.sizes, generate_ijbc(bench.sizes)
    write_meta(folder / "meta", data, sizes)
    meta = bench.stage("metadata text, first", lambda: read_ijbc_meta(folder / "meta"))
    if meta.counts["pairs"] != sizes.pairs or not np.array_equal(meta.pair_second, data.second):
        raise BctError("the generated metadata was not read back as written")
    meta = bench.stage("metadata text, cached", lambda: read_ijbc_meta(folder / "meta"))
    new = image_features(data, sizes, noise=9.0, seed=1)
    n = len(data.subject)
    given = data.template, data.medium, n, data.score
    pooled = bench.stage("template pooling", lambda: templates_by_media(new, *given), repeats=2)
    bench.peer("scan per template", lambda: peers.pooling_by_scan(new, *given), pooled)
    listed = pooled, data.first, pooled, data.second
    scores = bench.stage("pair scores", lambda: pair_scores(*listed), repeats=2)
    bench.peer("row products", lambda: peers.pairs_by_row_products(*listed), scores)
    _tar(bench, scores[data.genuine], scores[~data.genuine])
    del scores
    subject, probes = data.subject, np.arange(sizes.subjects, n)
    galleries = np.arange(sizes.first_gallery), np.arange(sizes.first_gallery, sizes.subjects)

    def identify():
        found = [search(pooled[probes], subject[probes], pooled[each], subject[each]) for each in galleries]
        return found, tpir_over_galleries(found, FPIRS)

    found, _ = bench.stage("1:N, G1 and G2", identify, repeats=2)
    halves = [peers.search_peers(pooled[probes], subject[probes], pooled[each], subject[each]) for each in galleries]
    for name in halves[0]:
        expected = [rank_k_over_galleries([each], 1) for each in found]
        bench.peer(name, lambda name=name: [half[name]() for half in halves], expected)
    old = image_features(data, sizes, noise=14.0, seed=2)
    pooled_old = templates_by_media(old, *given)
    bench.stage(
        "backfill curve, 51 points",
        lambda: [
            backfill_curve(pooled[probes], subject[probes], pooled_old[each], pooled[each], subject[each], 1e-2)
            for each in galleries
        ],
    )
    bench.stage("all of ijbc, new and old", lambda: evaluate_ijbc(meta, new, old))


def _tar(bench: Bench, genuine: np.ndarray, impostor: np.ndarray) -> None:
    tar = bench.stage("TAR at 5 FARs", lambda: tar_at_far(genuine, impostor, FARS), repeats=2)
    for name, work in peers.verification_peers(genuine, impostor, FARS).items():
        bench.peer(name, work, tar)


def _market(bench: Bench) -> None:
    for dimension in (128, 2048):
        query, query_labels, gallery, gallery_labels = generate_market(bench.sizes, dimension)
        labels = query_labels.identity, gallery_labels.identity, query_labels.camera, gallery_labels.camera
        value = bench.stage(
            f"Market-1501, {dimension}-d",
            lambda q=query, g=gallery, la=labels: mean_average_precision(rank_gallery(q, la[0], g, *la[1:])),
            repeats=2,
        )
        kept = gallery_labels.identity != -1
        without_junk = type(gallery_labels)(*(each[kept] for each in gallery_labels))
        for name, work in peers.retrieval_peers(query, query_labels, gallery[kept], without_junk).items():
            bench.peer(name, work, None if "cannot" in name else value)


def _growth(bench: Bench) -> None:
    """Time and memory of a search and a backfill curve as the gallery grows; 128 dimensions, half of it mated."""
    n = bench.sizes.searches
    for size in bench.sizes.galleries:
        rng = np.random.default_rng(size)
        gallery = rng.standard_normal((size, 128), dtype=np.float32)
        identity = np.arange(size)
        wanted = np.where(np.arange(n) % 2, rng.integers(0, size, n), size + np.arange(n))
        probes = rng.standard_normal((n, 128), dtype=np.float32)
        bench.stage(f"search in {size:,}", lambda p=probes, w=wanted, g=gallery, i=identity: search(p, w, g, i))
        bench.stage(
            f"ranking of {size:,}",
            lambda p=probes, w=wanted, g=gallery, i=identity: rank_gallery(p, w, g, i),
        )
        bench.stage(
            f"backfill of {size:,}",
            lambda p=probes, w=wanted, g=gallery, i=identity: backfill_curve(p, w, g, g, i),
        )


def _report(bench: Bench) -> None:
    """The whole report: three pairs of models, 1,000 resamples, the backfill curve; without drawing the page."""
    given, (n_query, n_gallery) = generate_upgrade(bench.sizes), bench.sizes.upgrade
    bench.stage(f"report, {n_query:,} in {n_gallery:,}", lambda: report(**given))


def _text(line: Line) -> str:
    memory = "-" if line.timing.peak_mb is None else f"{line.timing.peak_mb:.0f}"
    ratio = "" if line.ratio is None else f"{line.ratio:.1f}x"
    same = "" if line.agrees is None else ("yes" if line.agrees else "NO")
    times = f"{line.timing.seconds:>9.3f}{line.timing.cpu_s:>9.3f}"
    return f"{line.stage:<28}{line.who[:26]:<28}{times}{memory:>9}{ratio:>8}  {same}".rstrip()


def _write(bench: Bench, folder: Path, busy: float | None) -> None:
    content = {
        "provenance": provenance(), "cores": os.cpu_count(), "load_before": busy, "sizes": asdict(bench.sizes),
        "lines": [asdict(line) for line in bench.lines],
    }  # fmt: skip
    path = folder / "bench-evaluation.json"
    text = json.dumps(content, indent=1) + "\n"
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    drawn = draw_growth(content, folder)
    print(f"written to {', '.join(map(str, [path, *drawn]))}")


class _store_at:
    """Use a temporary store, so that the cache of parsed metadata goes with the generated files."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __enter__(self) -> None:
        self.before = os.environ.get("BCT_STORE")
        os.environ["BCT_STORE"] = str(self.folder)

    def __exit__(self, *error) -> None:
        if self.before is None:
            del os.environ["BCT_STORE"]
        else:
            os.environ["BCT_STORE"] = self.before


def _parser() -> BenchParser:
    parser = BenchParser("evaluation", __doc__)
    parser.add_argument("--small", action="store_true", help="tiny sizes, seconds instead of minutes")
    parser.add_argument("--no-peers", action="store_true", help="only our own stages")
    parts = ("ijbc", "market", "growth", "report")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="some of the parts")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write bench-evaluation.json and a figure here")
    return parser
