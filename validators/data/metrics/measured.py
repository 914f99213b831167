"""The metrics that answers to expectations rest on: asked for first, measured together, then used.

An answer is a plain function that asks for metrics by calling `Measured`. As long as one of them
is not known, that raises `NotYetMeasured`; everything that was asked for is then measured in one
pass over the data, and the function is called again. Few need a second pass, such as z-scores,
whose mean must be known first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from validators.data.metrics.batch import Kinds
from validators.data.metrics.conditions import Condition, columns_of
from validators.data.metrics.metric import ColumnMetric


class MetricNeed(NamedTuple):
    """A metric of the rows that meet a condition; None: of all rows."""

    condition: Condition | None
    metric: ColumnMetric

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read."""
        return tuple(dict.fromkeys((*self.metric.columns, *columns_of(self.condition))))


class NotYetMeasured(Exception):  # noqa: N818 - not an error
    """A metric is not known yet; it is asked for now."""


@dataclass(frozen=True)
class Measured:
    """What is known about the rows that meet a condition."""

    kinds: Kinds
    names: tuple[str, ...]
    """Every column of the dataset, read or not."""
    types: Mapping[str, Any]
    """The type of each column in the files."""
    condition: Condition | None
    known: Mapping[MetricNeed, Any]
    """The state of each metric, or the exception that measuring it raised."""
    shows: frozenset[str] = frozenset()
    """The columns of which values may be shown."""
    asked: dict[MetricNeed, None] = field(default_factory=dict)
    """What is not known and was asked for."""

    def __call__(self, metric: ColumnMetric) -> Any:
        """The state of a metric. Raises `NotYetMeasured`, or what measuring it raised."""
        (found,) = self.each(metric)
        return found

    def each(self, *metrics: ColumnMetric) -> list[Any]:
        """The states of several metrics, asked for at once."""
        questions = [MetricNeed(self.condition, metric) for metric in metrics]
        lacking = [one for one in questions if one not in self.known]
        if lacking:
            self.asked.update(dict.fromkeys(lacking))
            raise NotYetMeasured
        states = [self.known[one] for one in questions]
        for state in states:
            if isinstance(state, Exception):
                raise state
        return states
