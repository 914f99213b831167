"""`python -m tests.validators.data.against_engine EXAMPLES`: on generated tables of every Arrow
type, the answers that differ from those of Great Expectations on pandas, as JSON.

Great Expectations gets the same rows, settled, in pandas' types without loss.
"""

import json
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.validators.data.generated import expectations, tables
from validators.data.answering.answers import answers
from validators.data.reading.dataset import in_memory
from validators.data.suites import engine
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.suites.suite import Expectation
from validators.data.values.frame import frame_of, settled


@st.composite
def cases(draw: st.DrawFn) -> tuple[pa.Table, list[Expectation]]:
    """A table with rows, and a suite for it."""
    table = draw(tables().filter(lambda one: one.num_rows > 0))
    return table, draw(st.lists(expectations(table), min_size=1, max_size=4))


def compared(table: pa.Table, asked: Mapping[int, Expectation]) -> list[dict[str, Any]]:
    """Every answer of both."""
    ours = {one.place: one for one in answers(in_memory(table, table.column_names), asked)}
    theirs = {one.place: one for one in engine.evaluate(frame_of(settled(table)), asked)}
    return [
        {
            "type": one.type,
            "columns": [one.kwargs["column"]]
            if "column" in one.kwargs
            else one.kwargs["column_list"],
            "kwargs": repr(one.kwargs),
            "rows": repr(table.to_pydict()),
            "ours": _told(ours[at]),
            "theirs": _told(theirs[at]),
            "nothing": bool(ours[at].nothing),
            "refused": bool(ours[at].refused),
        }
        for at, one in asked.items()
    ]


def _told(one: ExpectationOutcome) -> list[Any]:
    counts = [one.unexpected, one.evaluated] if one.evaluated is not None else [None, None]
    return [one.success, *counts, one.raised]


def main(examples: int) -> None:
    """Print all differences, and how many answers were compared."""
    found: list[dict[str, Any]] = []

    @given(cases())
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def compare(case: tuple[pa.Table, list[Expectation]]) -> None:
        table, suite = case
        asked = {at: one for at, one in enumerate(suite) if not engine.misfit(one)}
        if asked:
            found.extend(compared(table, asked))

    compare()
    differing = [one for one in found if one["ours"] != one["theirs"]]
    print(json.dumps({"compared": len(found), "differing": differing}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]))
