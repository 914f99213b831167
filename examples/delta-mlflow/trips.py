"""Code shared by training and evaluation."""

import pandas as pd
from deltalake import DeltaTable

FEATURES = ["hour", "distance"]
LABEL = "late"


def read(folder: str) -> pd.DataFrame:
    """The table's rows, ordered by trip."""
    rows = DeltaTable(folder).to_pandas().sort_values("trip", ignore_index=True)
    return rows.astype({"hour": "float64"})


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows for training, and every third row for the evaluation."""
    held_out = rows["trip"] % 3 == 0
    return rows[~held_out], rows[held_out]
