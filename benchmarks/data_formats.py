"""What reading a dataset costs by its format, against the bare readers of Arrow and DuckDB.

`python -m benchmarks.data_formats [ROWS]` writes the same rows in each format and prints the CPU
seconds of reading all columns with their types, best of three: in the data gate, and with Arrow's
reader for the format, which for CSV and JSON believes the types that it guesses. Then the CPU
seconds of `query:` on a DuckDB file, against DuckDB's own export to Parquet; and the CPU seconds
and the most memory of judging one large object, in a process of its own, against one that has a
quarter of the rows: the memory should not grow with the object.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.common import Row
from benchmarks.data_gate import run
from specs.csv_files import CsvFiles
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.tables import load

ROWS: Final = 1_000_000
ROUNDS: Final = 3
GERMAN: Final = CsvFiles.model_validate(
    {"delimiter": ";", "decimal": ",", "thousands": ".", "dates": "%d.%m.%Y"}
)


def _table(rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(7)
    days = np.datetime64("2024-01-01") + random.integers(0, 365, rows)
    return pa.table(
        {
            "id": np.arange(rows),
            "price": np.round(random.random(rows) * 10_000, 2),
            "day": pa.array(days.astype("datetime64[D]")),
            "carrier": random.choice(["AA", "UA, x", "DL"], rows),
        }
    )


def _write(table: Any, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv, feather, orc

    pq.write_table(table, folder / "a.parquet")
    orc.write_table(table, str(folder / "a.orc"), compression="zstd")
    feather.write_feather(table, str(folder / "a.arrow"), compression="lz4")
    csv.write_csv(table, folder / "a.csv")
    text = (folder / "a.csv").read_bytes()
    (folder / "a.csv.zst").write_bytes(pa.compress(text, codec="zstd", asbytes=True))
    frame = table.to_pandas()
    frame["day"] = frame["day"].astype(str)
    frame.to_json(folder / "a.jsonl", orient="records", lines=True)
    german = "".join(
        f"{one};{f'{price:,.2f}'.translate(str.maketrans(',.', '.,'))};{day:%d.%m.%Y};{who}\n"
        for one, price, day, who in zip(*table.to_pydict().values(), strict=True)
    )
    (folder / "german.csv").write_text(f"id;price;day;carrier\n{german}")


def _bare(folder: Path) -> Mapping[str, Callable[[], Any]]:
    import pyarrow.parquet as pq
    from pyarrow import csv, feather, json, orc

    semicolon = csv.ParseOptions(delimiter=";")
    return {
        "a.parquet": lambda: pq.read_table(folder / "a.parquet"),
        "a.orc": lambda: orc.read_table(str(folder / "a.orc")),
        "a.arrow": lambda: feather.read_table(str(folder / "a.arrow")),
        "a.csv": lambda: csv.read_csv(folder / "a.csv"),
        "a.csv.zst": lambda: csv.read_csv(str(folder / "a.csv.zst")),
        "a.jsonl": lambda: json.read_json(folder / "a.jsonl"),
        "german.csv": lambda: csv.read_csv(folder / "german.csv", parse_options=semicolon),
    }


def _gate(folder: Path, key: str, reading: DatasetReading) -> Any:
    loaded = load([ObjectFile(key=key, path=str(folder / key))], None, reading=reading)
    assert loaded.checks == ()
    return loaded.table


def _cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of this process, best of the rounds."""
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def _query(folder: Path, rows: int) -> Row:
    import duckdb

    from controller.queries.fetching import fetch

    file, target = folder / "shop.duckdb", folder / "rows.parquet"
    with duckdb.connect(str(file)) as made:
        made.execute(f"CREATE TABLE orders AS FROM read_parquet('{folder / 'a.parquet'}')")
    statement = "SELECT * FROM orders ORDER BY id"
    ours = _cpu(lambda: fetch(f"duckdb:///{file}", statement, None, target, folder))

    def export() -> None:
        with duckdb.connect(str(file), read_only=True) as there:
            there.execute(f"COPY ({statement}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")

    return Row(f"{rows:,} rows of a DuckDB file", ours, "CPU s", "DuckDB's export", _cpu(export))


SUITE: Final = """\
name: large
expectations:
- {type: expect_column_values_to_not_be_null, kwargs: {column: id}}
- {type: expect_column_mean_to_be_between, kwargs: {column: price, min_value: 0, max_value: 10000}}
- {type: expect_column_values_to_be_between, kwargs: {column: day, min_value: "2024-01-01"}}
- {type: expect_column_values_to_be_in_set, kwargs: {column: carrier, value_set: [AA, "UA, x", DL]}}
"""
_JUDGED: Final = """\
import sys
from validators.data.gate import judge
from validators.data.reading.objects import ObjectFile
from validators.data.request import DataGateRequest, SuiteFile
objects = (ObjectFile(key=sys.argv[1], path=sys.argv[1], digest="0"),)
suite = SuiteFile(path=sys.argv[2], origin="suite")
report = judge(DataGateRequest(dataset="d", version="v", objects=objects, suite=suite))
assert report.verdict.value == "PASS", report
"""


def _large(rows: int, folder: Path) -> list[Row]:
    """What one object takes, and what one with a quarter of the rows."""
    suite, found = folder / "suite.yaml", []
    suite.write_text(SUITE)
    small, large = folder / "small", folder / "large"
    for place, several in ((small, rows // 4), (large, rows)):
        place.mkdir()
        _write(_table(several), place)
    for key in ("a.csv", "a.csv.zst", "a.jsonl", "a.orc", "a.arrow"):
        less, more = (
            run([sys.executable, "-c", _JUDGED, str(place / key), str(suite)])[0]
            for place in (small, large)
        )
        what = f"one {key} of {rows:,} rows"
        found.append(Row(what, more.cpu, "CPU s", "a quarter of it", less.cpu))
        peaks = more.peak / 2**20, less.peak / 2**20
        found.append(Row(what, peaks[0], "MiB", "a quarter of it", peaks[1], "<= 1.2"))
    return found


def main(rows: int = ROWS) -> list[Row]:
    """Measure and print."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(_table(rows), folder)
        for key, bare in _bare(folder).items():
            written = GERMAN if key.startswith("german") else None
            types = {"price": "decimal", "day": "date"} if written else {}
            reading = DatasetReading.model_validate({"types": types, "csv": written})
            ours = _cpu(lambda key=key, reading=reading: _gate(folder, key, reading))  # type: ignore[misc]
            row = Row(f"{rows:,} rows of {key}", ours, "CPU s", "Arrow's reader", _cpu(bare))
            found.append(row)
        found.append(_query(folder, rows))
        found += _large(4 * rows, folder)
    for row in found:
        print(f"{row.what}: {row.measured:.2f} {row.unit}, {row.against} {row.reference:.2f}")
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
