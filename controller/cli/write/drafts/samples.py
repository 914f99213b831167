"""Reads the first rows of a data file to guess label and task. No value is stored or shown."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from specs.gates import TaskName

Sample = Mapping[str, Sequence[str]]
"""The values of columns as text, by column name."""
_ROWS = 2_000
_BYTES = 2**20
_USUAL = ("label", "target", "y", "class", "outcome", "is_fraud", "fraud", "churn", "churned",
          "survived", "default", "species", "price", "response")  # fmt: skip
_KEYS = ("id", "key", "row_id", "uuid", "index")
_MOST_CLASSES = 30


def sample_of(path: Path) -> Sample:
    """The first rows of a file; empty if it cannot be read."""
    try:
        return _of_parquet(path) if path.suffix == ".parquet" else _of_csv(path)
    except (OSError, ValueError, csv.Error):  # pyarrow's errors are ValueErrors or OSErrors
        return {}


def _of_csv(path: Path) -> Sample:
    with path.open("rb") as file:
        begun = file.read(_BYTES).decode("utf-8", "replace")
    lines = begun.splitlines()
    if len(begun) >= _BYTES:
        lines.pop()  # it may be incomplete
    dialect = csv.Sniffer().sniff(lines[0], ",;\t|") if lines else csv.excel
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[: _ROWS + 1])), dialect=dialect))
    names = [name for name in (rows[0] if rows else {}) if name]
    return {name: [row.get(name) or "" for row in rows] for name in names}


def _of_parquet(path: Path) -> Sample:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        batch = next(file.iter_batches(_ROWS), None)
    if batch is None:
        return {}
    columns = ((name, batch.column(place)) for place, name in enumerate(batch.schema.names))
    return {
        name: ["" if value is None else str(value) for value in column.to_pylist()]
        for name, column in columns
    }


def label_of(sample: Sample, said: Iterable[str]) -> str | None:
    """The label column: one that a script names, else one with a usual name."""
    named = next((name for name in said if name in sample), None)
    if named is not None:
        return named
    by_lower = {name.lower(): name for name in sample}
    return next((by_lower[name] for name in _USUAL if name in by_lower), None)


def key_of(columns: Iterable[str]) -> str | None:
    """The column that identifies a row, judging by its name."""
    names = list(columns)
    by_lower = {name.lower(): name for name in names}
    usual = next((by_lower[name] for name in _KEYS if name in by_lower), None)
    return usual or next((name for name in names if name.lower().endswith(("_id", "_key"))), None)


def task_of(values: Iterable[str]) -> tuple[TaskName | None, str]:
    """The task for such labels, and the reason for that guess."""
    there = [value for value in values if value.strip()]
    kinds = set(there)
    if len(kinds) < 2:
        return None, "the sample has one value"
    if len(kinds) == 2:
        return "binary", "it has two values"
    if not all(map(_is_number, kinds)):
        several = len(kinds) <= _MOST_CLASSES
        return ("multiclass", f"it has {len(kinds)} values that are words") if several else (
            None, "it has many values that are words")  # fmt: skip
    whole = all(float(kind).is_integer() for kind in kinds)
    if whole and len(kinds) <= min(_MOST_CLASSES, len(there) // 10):
        return "multiclass", f"it has {len(kinds)} whole numbers"
    return "regression", "it has many numbers"


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False
