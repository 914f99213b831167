"""What Great Expectations finds about each value, batch by batch: it need not hold all rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from validators.data.metrics.batch import RowBatch
from validators.data.metrics.metric import OfColumn
from validators.data.suites import engine
from validators.data.suites.suite import Expectation
from validators.data.values.frame import frame_of

ONE_BY_ONE: Final = frozenset({
    "expect_column_values_to_be_dateutil_parseable",
    "expect_column_values_to_be_json_parseable",
    "expect_column_values_to_match_json_schema",
    "expect_column_values_to_match_strftime_format",
})  # fmt: skip
"""The types whose answer for a value depends on that value alone."""
_ALONE: Final = Lock()
"""Threads that share its context have been seen to get wrong verdicts."""


class EngineError(Exception):
    """Great Expectations raised an exception; its class is the message."""


@dataclass(frozen=True)
class MetByEngine(OfColumn):
    """[evaluated, unexpected]: how many values there are, and how many do not meet it."""

    type: str
    kwargs: str
    """As text, to tell one from another."""
    expectation: Expectation = field(repr=False, compare=False)

    def of(self, batch: RowBatch) -> list[int]:
        table = batch.settled([self.column]).drop_null()
        if table.num_rows == 0:
            return [0, 0]
        with _ALONE:
            (found,) = engine.evaluate(frame_of(table), {0: self.expectation})
        if found.raised:
            raise EngineError(found.raised)
        return [found.evaluated or 0, found.unexpected or 0]

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        return [sum(parts) for parts in zip(*states, strict=True)]
