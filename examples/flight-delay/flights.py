"""Code shared by training, evaluation and serving: columns, label, split, features.

One function computes the features from arrays of columns, both for a month of Parquet and for a
JSON request, so training and serving cannot diverge.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

KEY = "flight_id"
LATE_AFTER_MINUTES = 15
HELD_OUT_DAYS = 7  # if there is only one month

# Known when the ticket is sold. Times are local clock times as HHMM.
SCHEDULE = ("year", "month", "day", "sched_dep_time", "sched_arr_time", "distance")
CATEGORIES = ("carrier", "origin", "dest")
# Observed at the origin in the scheduled hour of departure, in place of the forecast that a real
# caller would send. It makes the model look a little better; nothing else is from the future.
WEATHER = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
KNOWN_BEFORE_DEPARTURE = (*SCHEDULE, *CATEGORIES, *WEATHER)

# Recorded after the fact, so never a feature. `arr_delay` is only used for the label.
KNOWN_TOO_LATE = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")

# No month and no year: the model always predicts a month that it has not seen.
FEATURES = (
    *CATEGORIES,
    "departs",  # minutes after midnight
    "arrives",
    "scheduled_minutes",  # by local clocks at both ends, so it includes the time difference
    "weekday",  # 0 is Monday
    "distance",
    *WEATHER,
)

# For each category, its values and the number of each.
Ranks = Mapping[str, Mapping[str, float]]


def read(data: Path) -> Any:
    """The flights of a Parquet file, or of all files in a directory, ordered by name."""
    import pandas as pd

    files = sorted(data.glob("*.parquet")) if data.is_dir() else [data]
    if not files:
        raise SystemExit(f"{data}: no Parquet file in this directory")
    columns = [KEY, *KNOWN_BEFORE_DEPARTURE, "arr_delay"]
    months = []
    for file in files:
        try:
            months.append(pd.read_parquet(file, columns=columns))
        except (OSError, ValueError) as problem:  # pyarrow raises these two
            raise SystemExit(f"{file.name}: cannot be read: {problem}") from problem
    return pd.concat(months, ignore_index=True)


def split(flights: Any) -> tuple[Any, Any]:
    """Train on what came before, evaluate on the newest month; never a random split.

    With a single month, its last days are held out. Flights that never arrived (canceled or
    diverted) have no label and are in neither part.
    """
    month = flights["year"] * 12 + flights["month"]
    held_out = month == month.max()
    if held_out.all():
        held_out = flights["day"] > flights["day"].max() - HELD_OUT_DAYS
    arrived = flights["arr_delay"].notna()
    return flights[arrived & ~held_out], flights[arrived & held_out]


def late(flights: Any) -> np.ndarray:
    """1 for a flight that arrived more than 15 minutes after its schedule, else 0."""
    return (flights["arr_delay"] > LATE_AFTER_MINUTES).to_numpy(dtype=np.int8)


def columns_of(flights: Any) -> dict[str, np.ndarray]:
    """The columns that the model may use, as arrays."""
    return {
        name: flights[name].to_numpy(dtype=object if name in CATEGORIES else np.float64)
        for name in KNOWN_BEFORE_DEPARTURE
    }


def rank(columns: Mapping[str, np.ndarray], label: np.ndarray) -> dict[str, dict[str, float]]:
    """Number the values of each category by how often their flights were late."""
    ranks = {}
    for name in CATEGORIES:
        values, index = np.unique(columns[name].astype(str), return_inverse=True)
        share = np.bincount(index, weights=label) / np.bincount(index)
        in_order = values[np.argsort(share, kind="stable")]
        ranks[name] = {str(value): float(place) for place, value in enumerate(in_order)}
    return ranks


def features(columns: Mapping[str, np.ndarray], ranks: Ranks) -> np.ndarray:
    """One row per flight, one column per name in `FEATURES`; unknown is NaN."""
    departs = _minutes(columns["sched_dep_time"])
    arrives = _minutes(columns["sched_arr_time"])
    made = {
        "departs": departs,
        "arrives": arrives,
        "scheduled_minutes": (arrives - departs) % (24 * 60),
        "weekday": _weekday(columns["year"], columns["month"], columns["day"]),
    }
    for name in CATEGORIES:
        made[name] = codes(columns[name], ranks[name])
    return np.column_stack([made[name] if name in made else columns[name] for name in FEATURES])


def codes(values: Sequence[str] | np.ndarray, ranks: Mapping[str, float]) -> np.ndarray:
    """The number of each value; NaN for a value that was not in the training data."""
    return np.array([ranks.get(value, np.nan) for value in values], dtype=np.float64)


def _minutes(clock: np.ndarray) -> np.ndarray:
    """Minutes after midnight of a local time written as HHMM."""
    return clock // 100 * 60 + clock % 100


def _weekday(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray:
    """0 for Monday to 6 for Sunday."""
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    return (days + 3) % 7  # 1970-01-01 was a Thursday
