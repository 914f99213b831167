"""How the columns of a version are spread, for the picture of a later one that fails.

Measured in the same pass as what the expectations ask, of some rows of a large table. A column that
footers alone answer for is not read for this, unless the table is small.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from specs.figures import clip
from validators.data.answering.pictures import LONGEST, short
from validators.data.answering.subjects import Subject, subjects
from validators.data.metrics.measured import MetricNeed
from validators.data.metrics.shape import Sketched, SketchedLengths, SketchedTally
from validators.data.portrait import ColumnSketch
from validators.data.reading.dataset import OpenedDataset
from validators.data.suites.suite import Expectation
from validators.report import MemberCount

SMALL: Final = 1 << 20
"""Rows of a table up to which each column is read."""
_MOST_COLUMNS: Final = 100
_MOST_MEMBERS: Final = 100
"""Members of a set that are counted one by one, each of which takes a look at the values."""
_BY_FOOTER: Final = frozenset(
    f"expect_column_{name}"
    for name in (
        "max_to_be_between",
        "min_to_be_between",
        "to_exist",
        "values_to_be_between",
        "values_to_be_in_type_list",
        "values_to_be_null",
        "values_to_be_of_type",
        "values_to_not_be_null",
    )
)
"""What a footer may answer for whole numbers, days and times."""


class Sketching(NamedTuple):
    """What is measured for a portrait, by the place of its expectation."""

    of: Mapping[int, Subject]
    needs: Mapping[int, MetricNeed]


def sketching(dataset: OpenedDataset, expectations: Mapping[int, Expectation]) -> Sketching:
    """What is measured of a dataset for these expectations. It depends on them and on the data, and
    not on what is known already."""
    found = subjects(dataset, expectations, _MOST_COLUMNS)
    unread = _unread(dataset, found, expectations)
    drawn = {
        at: one
        for at, one in found.items()
        if one.column not in unread and len(one.listed) <= _MOST_MEMBERS
    }
    return Sketching(drawn, {at: _need(one) for at, one in drawn.items()})


def _unread(
    dataset: OpenedDataset, found: Mapping[int, Subject], asked: Mapping[int, Expectation]
) -> set[str]:
    """The columns that need not be read for the expectations, if the footers have what they may."""
    if dataset.rows <= SMALL or all(part.footer(0) is None for part in dataset.parts):
        return set()
    read = {
        one.column
        for at, one in found.items()
        if asked[at].type not in _BY_FOOTER or one.condition is not None or not _is_whole(one)
    }
    return {one.column for one in found.values()} - read


def _is_whole(one: Subject) -> bool:
    return one.is_whole or one.unit == "second"


def _need(one: Subject) -> MetricNeed:
    if one.listed:
        return MetricNeed(one.condition, SketchedTally(one.column, one.listed))
    metric = SketchedLengths if one.unit == "character" else Sketched
    return MetricNeed(one.condition, metric(one.column, one.steps))


def sketches(of: Sketching, known: Mapping[MetricNeed, Any]) -> dict[int, ColumnSketch]:
    """What was measured, by the place of its expectation."""
    return {
        at: _sketch(one, state)
        for at, one in of.of.items()
        if isinstance(state := known.get(of.needs[at]), list)
    }


def _sketch(one: Subject, state: Sequence[Any]) -> ColumnSketch:
    asked = _asked(one)
    if one.listed:
        *counts, n, estimated = state
        members = tuple(
            MemberCount(member=clip(str(each), LONGEST), count=count)
            for each, count in zip(one.listed, counts, strict=True)
        )
        others = max(n - sum(counts), 0)
        return ColumnSketch(asked=asked, members=members, others=others, estimated=estimated)
    exponent, cells, estimated = state
    by, width = one.steps, 2.0**exponent
    return ColumnSketch(
        asked=asked,
        cells=tuple(
            (short(by.at(width * place)), short(by.at(width * (place + 1))), count)
            for place, count in cells
        ),
        estimated=estimated,
    )


def _asked(one: Subject) -> str:
    said = repr((one.column, one.condition, one.limits, one.listed, one.forbids, one.unit))
    return hashlib.blake2b(f"{said} {one.is_whole}".encode(), digest_size=12).hexdigest()
