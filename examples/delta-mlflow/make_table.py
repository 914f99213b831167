"""Write the Delta table `lake/trips`: two deliveries, and a DELETE whose files are still there.

python -m pip install deltalake pyarrow numpy && python make_table.py
"""

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

TABLE = "lake/trips"
MONTHS = ("2024-01", "2024-02")


def trips(month: str, first: int, rows: int) -> pa.Table:
    """Made-up trips of a month; long trips at rush hour are late."""
    draw = np.random.default_rng(first)
    hour = draw.integers(0, 24, rows)
    distance = np.round(draw.gamma(2.0, 3.0, rows), 2)
    rush = np.isin(hour, (7, 8, 9, 16, 17, 18))
    late = draw.random(rows) < 1 / (1 + np.exp(3.0 - 0.25 * distance - 2.0 * rush))
    return pa.table(
        {
            "trip": np.arange(first, first + rows),
            "hour": hour.astype("int32"),
            "distance": distance,
            "late": late,
            "month": [month] * rows,
        }
    )


def main() -> None:
    """Write the table from scratch."""
    for number, month in enumerate(MONTHS):
        table = trips(month, 1 + 750 * number, 750)
        write_deltalake(TABLE, table, mode="append", partition_by=["month"])
    DeltaTable(TABLE).delete("trip > 1200")  # a broken meter; 300 rows


if __name__ == "__main__":
    main()
