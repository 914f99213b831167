"""What training, evaluation and callers agree on."""

import pandas as pd
from deltalake import DeltaTable

FEATURES = ["hour", "distance"]
LABEL = "late"


def read(folder: str) -> pd.DataFrame:
    """The table's rows, in the order of the trips."""
    rows = DeltaTable(folder).to_pandas().sort_values("trip", ignore_index=True)
    return rows.astype({"hour": "float64"})


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Those to learn from, and every third, to judge by."""
    held_out = rows["trip"] % 3 == 0
    return rows[~held_out], rows[held_out]
