"""The benchmarks' protocols on features computed anywhere: files or arrays in, a report out.

    from bctlib.evaluation import evaluate_ijbc
    report = evaluate_ijbc("IJBC/meta", query_features="new.npy", gallery_features="old.npy")
    print(report.table())

`evaluate_market1501`, `evaluate_pairs` and `evaluate_search` do the same for re-identification and for anybody's own
arrays; `report.save(folder)` writes everything as JSON, `bctlib.reporting.plot_evaluation.draw(report, folder)` the
curves, and `python -m bctlib.evaluate` is all of it as a command.
"""

from bctlib.evaluation.feature_files import load_features
from bctlib.evaluation.ijbc import evaluate_ijbc
from bctlib.evaluation.market1501 import evaluate_market1501
from bctlib.evaluation.own_arrays import evaluate_pairs, evaluate_search
from bctlib.evaluation.report import Measurement, Report, Verdict

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
