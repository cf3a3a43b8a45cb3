"""The benchmarks' protocols on features computed anywhere: files or arrays in, a report out.

    from bctlib.upgrade.evaluate import evaluate_ijbc
    report = evaluate_ijbc("IJBC/meta", query_features="new.npy", gallery_features="old.npy")
    print(report.table())

`evaluate_market1501` does the same for re-identification, `evaluate_pairs` and `evaluate_search` for your own arrays.
`report.save(folder)` writes everything as JSON, `bctlib.upgrade.evaluate.curves.draw(report, folder)` draws the curves.
The command is `bctlib evaluate`. None of this loads torch; only IJB-C's text files need pandas.
"""

from bctlib.upgrade.evaluate.arrays import evaluate_market1501, evaluate_pairs, evaluate_search
from bctlib.upgrade.evaluate.ijbc import evaluate_ijbc
from bctlib.upgrade.evaluate.inputs import load_features
from bctlib.upgrade.evaluate.result import Measurement, Report, Verdict

__all__ = [
    "Measurement",
    "Report",
    "Verdict",
    "evaluate_ijbc",
    "evaluate_market1501",
    "evaluate_pairs",
    "evaluate_search",
    "load_features",
]
