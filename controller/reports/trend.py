"""PURE. The values of a gate's metrics over the last versions, one line per metric."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from controller.reports.headline import checked
from specs.figures import significant
from validators.render.markdown import escape
from validators.report import Report

VERSIONS = 5
MOST_METRICS = 3


class PastMeasurement(NamedTuple):
    """What the gate measured for an earlier version, on the data of that time."""

    version: int
    values: Mapping[str, float]
    """By metric, without undefined ones."""


def past(version: int, report: Report) -> PastMeasurement:
    """From the report of that version's model gate."""
    values = {m.metric: m.candidate for m in report.metrics if m.candidate is not None}
    return PastMeasurement(version, values)


def trend(report: Report, versions: Sequence[PastMeasurement]) -> Iterator[str]:
    """`versions` are the last ones, oldest first. A metric that none of them has gets no line."""
    for one in checked(report)[:MOST_METRICS]:
        known = [each for each in versions[-VERSIONS:] if one.metric in each.values]
        if not known or one.candidate is None:
            continue
        values = [significant(each.values[one.metric]) for each in known]
        values[0] += f" (v{known[0].version})"
        if len(values) > 1:
            values[-1] += f" (v{known[-1].version})"
        many = f"last {_COUNTS[len(known)]} versions" if len(known) > 1 else "version before"
        line = " · ".join([*values, f"**{significant(one.candidate)}**"])
        yield f"{escape(one.metric)} over the {many}, then here: {line}"


_COUNTS = {2: "two", 3: "three", 4: "four", 5: "five"}
