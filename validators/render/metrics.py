"""The metrics of both models as a table of four columns, the same in every report format."""

from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from specs.figures import number, percent, signed, significant
from validators.render.common import bounds
from validators.render.safe_text import clean
from validators.report import MetricComparison, Report

UNDEFINED: Final = "undefined"
_ARROWS: Final = {True: " ↑", False: " ↓", None: ""}


class MetricChange(Enum):
    """How a metric changed, as far as the rows tell."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "undecided"
    """Its interval contains zero."""
    NONE = ""
    """Nothing was compared."""


class MetricsRow(NamedTuple):
    """One metric. All texts are cleaned, and empty if there is nothing to say."""

    cells: tuple[str, ...]
    """The name with an arrow in the better direction, `0.731 → 0.7123`, the difference and its
    interval; only the columns that the table has."""
    change: MetricChange
    note: str
    """Why it is undefined, starting with its name."""


class MetricsTable(NamedTuple):
    """The metrics of a gate; what all of them share is in the caption."""

    head: tuple[str, ...]
    """The names of the columns that are not empty."""
    named: tuple[MetricsRow, ...]
    """The metrics that a check names, or all if none does."""
    others: tuple[MetricsRow, ...]
    caption: tuple[str, ...]
    """The number of rows, and the meaning of the arrows."""


def table(report: Report) -> MetricsTable | None:
    """The metrics of a report; None if it has none."""
    if not report.metrics:
        return None
    compared = any(one.baseline is not None for one in report.metrics)
    spread = compared and any(one.interval is not None for one in report.metrics)
    confidences = {one.interval.confidence for one in report.metrics if one.interval}
    alike = len(confidences) == 1
    rows = len({one.n for one in report.metrics if one.n is not None}) <= 1
    values = f"{report.baseline or 'Baseline'} → candidate" if compared else "Candidate"
    interval = f"{percent(*confidences)} interval" if alike else "Interval"
    named = [one for one in report.metrics if one.checked] or list(report.metrics)
    head = ("Metric", clean(values), "Difference", interval)[: 2 + compared + spread]
    row = partial(_row, columns=len(head), alike=alike, rows=rows)
    return MetricsTable(
        head=head,
        named=tuple(map(row, named)),
        others=tuple(row(one) for one in report.metrics if one not in named),
        caption=_caption(report.metrics, rows),
    )


def _caption(metrics: Sequence[MetricComparison], alike: bool) -> tuple[str, ...]:
    ways = {one.greater_is_better for one in metrics}
    counts = [one.n for one in metrics if one.n is not None]
    return (
        *((f"{number(counts[0])} rows",) if alike and counts else ()),
        *(("↑ higher is better",) if True in ways else ()),
        *(("↓ lower is better",) if False in ways else ()),
    )


def _row(one: MetricComparison, columns: int, alike: bool, rows: bool) -> MetricsRow:
    values = [one.baseline, one.candidate] if one.baseline is not None else [one.candidate]
    interval = ""
    if one.interval is not None:
        confidence = "" if alike else f" ({percent(one.interval.confidence)})"
        interval = bounds(one.interval, signs=True) + confidence
    count = "" if rows or one.n is None else f" ({number(one.n)} rows)"
    every = (
        clean(f"{one.metric}{_ARROWS[one.greater_is_better]}{count}"),
        " → ".join(UNDEFINED if each is None else significant(each) for each in values),
        "" if one.difference is None else signed(one.difference),
        interval,
    )
    return MetricsRow(
        every[:columns],
        change_of(one),
        f"{clean(one.metric)}: {clean(one.note)}" if one.note else "",
    )


def change_of(one: MetricComparison) -> MetricChange:
    """Better or worse if the whole interval is, or the value if there is no interval; only if the
    better direction is known."""
    if one.difference is None or one.greater_is_better is None:
        return MetricChange.NONE
    low, high = one.difference, one.difference
    if one.interval is not None:
        low, high = one.interval.low, one.interval.high
    if not one.greater_is_better:
        low, high = -high, -low
    if low > 0:
        return MetricChange.BETTER
    return MetricChange.WORSE if high < 0 else MetricChange.OPEN
