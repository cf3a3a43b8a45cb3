"""The paper's printed numbers as data, with their table and row (Tables 1 to 5 and 7 to 9; Table 6 has none).

`paper_numbers.csv` has the columns table, query_model, gallery_model, protocol, metric, operating_point, value, note.
Names are those of the results (`companion.results`), so that the two can be joined; the paper's own models
that occur nowhere else are

- Tables 3 and 7: new-deep, new-deep-256d, new-relu (towards old); old-ns and new-from-ns (Norm-Softmax);
  old-softmax and new-from-softmax; old-25 and new-from-25; old-90 and new-from-90;
- Tables 4 and 9: phi1, phi2 (BCT towards phi1), phi3 (BCT towards phi2) and the paragons phi2*, phi3* (no BCT).

Values stand as printed: accuracies and gains in per cent, `compatible` 1 for a tick and 0 for a cross,
`training_share` and `embedding_dimension` (protocol "training") from the tables of settings. A printed dash has no
row. `note` tells misprints, and where a number can be checked against no second table. The paper prints TNIR for
what it calls TPIR in the text; here it is TPIR@FPIR. Table 5 prints its pairs as (old, new): its rows keep that
direction, query_model first.
"""

from functools import cache
from pathlib import Path

import pandas as pd

from companion.results import point_text

PAPER_NUMBERS = Path(__file__).with_name("paper_numbers.csv")
KEY = ["table", "query_model", "gallery_model", "protocol", "metric", "operating_point"]


def load_paper_numbers() -> pd.DataFrame:
    """All printed numbers: the columns of the CSV, all text but `value` (float64); no missing values."""
    return _table().copy()


def paper_value(
    table: str, query_model: str, gallery_model: str, protocol: str, metric: str, operating_point: float | str = ""
) -> float | None:
    """One printed number in the paper's unit (per cent), or None where the paper prints none (or a dash).

    table: "table1" ... "table9". operating_point: a number or its text ("" for mAP), so 1e-4 and "0.0001" are one.
    """
    return _values().get((table, query_model, gallery_model, protocol, metric, point_text(operating_point)))


@cache
def _table() -> pd.DataFrame:
    text = {name: str for name in [*KEY, "note"]}
    return pd.read_csv(PAPER_NUMBERS, dtype=text | {"value": float}, keep_default_na=False)


@cache
def _values() -> dict[tuple[str, ...], float]:
    table = _table()
    return dict(zip(table[KEY].itertuples(index=False, name=None), table["value"].tolist(), strict=True))
