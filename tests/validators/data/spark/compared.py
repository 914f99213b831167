"""`python -m tests.validators.data.spark.compared EXAMPLES`: the answers on Spark and those
of every other judgement, as JSON; of a table with all that engines differ in and of generated ones.

Each table is in two files, of which Spark reads one as it is, and one that Headgate has read.
"""

import json
import logging
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.validators.data.generated import expectations, tables
from tests.validators.data.spark.suites import TABLE, every_type
from validators.data.answering.answers import answer_by_names, answers
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.opening import open_dataset
from validators.data.spark.answers import answers_in
from validators.data.spark.session import session
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.suites.suite import Expectation

HELD: Final = (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64", "bool",
    "string", "large_string", "category", "date", "seconds", "micros", "nanos", "berlin", "money",
)  # fmt: skip
"""The kinds of columns that Spark holds."""
SUITE: Final = 25


@st.composite
def cases(draw: st.DrawFn) -> tuple[pa.Table, list[Expectation]]:
    """A table with rows, and a suite for it."""
    table = draw(tables(HELD).filter(lambda one: one.num_rows > 1))
    return table, draw(st.lists(expectations(table), min_size=SUITE, max_size=SUITE))


class Comparison:
    """Asks both about tables, in one session."""

    def __init__(self, spark: Any, folder: Path) -> None:
        self._spark = spark
        self._folder = folder
        self.found: list[dict[str, Any]] = []

    def of(self, table: pa.Table, suite: list[Expectation]) -> None:
        """Compare the answers about a table."""
        folder = Path(tempfile_in(self._folder))
        half = table.num_rows // 2
        pq.write_table(table.slice(0, half), folder / "a.parquet")
        pq.write_table(table.slice(half), folder / "b[1].parquet")
        self._compare(folder, suite)

    def of_orc(self, table: pa.Table, suite: list[Expectation]) -> None:
        """The same of a file that Spark does not read itself."""
        folder = Path(tempfile_in(self._folder))
        orc.write_table(table, folder / "a.orc")
        self._compare(folder, suite)

    def _compare(self, folder: Path, suite: list[Expectation]) -> None:
        files = [ObjectFile(key=one.name, path=str(one)) for one in sorted(folder.iterdir())]
        dataset = open_dataset(files, None, None, DatasetReading())
        asked = dict(enumerate(suite))
        ours = {one.place: one for one in answers(dataset, asked)}
        scratch = Path(tempfile_in(self._folder))
        left = {at: one for at, one in asked.items() if answer_by_names(dataset, one) is None}
        theirs = {one.place: one for one in answers_in(self._spark, dataset, left, scratch)}
        for at, one in left.items():
            self.found.append(
                {
                    "type": one.type,
                    "kwargs": repr(one.kwargs),
                    "kinds": [str(dataset.kinds[name]) for name in dataset.types],
                    "ours": told(ours[at]),
                    "theirs": told(theirs[at]),
                    "refused": theirs[at].refused,
                    "raised": theirs[at].raised,
                    "rows": repr(dataset.rows),
                }
            )


def tempfile_in(folder: Path) -> str:
    """A new folder."""
    made = folder / str(sum(1 for _ in folder.iterdir()))
    made.mkdir()
    return str(made)


def told(one: ExpectationOutcome) -> list[Any]:
    """What must be the same."""
    counts = [one.unexpected, one.evaluated] if one.evaluated is not None else [None, None]
    return [one.success, *counts, bool(one.nothing), one.refused is not None, one.raised]


def main(examples: int) -> None:
    """Print the answers that were compared."""
    with TemporaryDirectory() as place, session(Path(place)) as spark:
        folder = Path(place) / "tables"
        folder.mkdir()
        comparison = Comparison(spark, folder)
        comparison.of(TABLE, every_type())
        plain = TABLE.select(["whole", "float", "text", "day", "money"])
        few: Mapping[str, Any] = {"min_value": 0}
        comparison.of_orc(plain, [
            Expectation("expect_column_values_to_be_between", {"column": name, **few})
            for name in ("whole", "float", "money")
        ])  # fmt: skip

        @given(cases())
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def compare(case: tuple[pa.Table, list[Expectation]]) -> None:
            comparison.of(*case)

        compare()
    print(json.dumps(comparison.found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    main(int(sys.argv[1]))
