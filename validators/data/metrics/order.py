"""Whether values increase or decrease from row to row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from validators.data.metrics.batch import RowBatch, counted
from validators.data.metrics.metric import OfColumn, kept, position_of
from validators.data.values.literals import of_value


@dataclass(frozen=True)
class InOrder(OfColumn):
    """[n, met, first, last]: how many values are in order with the one before, nulls left out.

    The first value is always in order. `sign` is the name of an Arrow comparison: `greater`,
    `greater_equal`, `less` or `less_equal`.
    """

    sign: str

    def of(self, batch: RowBatch) -> list[Any]:
        import pyarrow.compute as pc

        values = batch.values(self.column)
        n = len(values)
        if n == 0:
            return [0, 0, None, None]
        met = getattr(pc, self.sign)(values.slice(1), values.slice(0, n - 1))
        first, last = of_value(values[0]), of_value(values[n - 1])
        return [n, 1 + counted(met), kept(first), kept(last)]

    def merged(self, states: Sequence[list[Any]]) -> list[Any]:
        found = [0, 0, None, None]
        for state in states:
            if state[0] == 0:
                continue
            if found[0] == 0:
                found = list(state)
                continue
            follows = self._follows(position_of(found[3]), position_of(state[2]))
            met = found[1] + state[1] - (0 if follows else 1)
            found = [found[0] + state[0], met, found[2], state[3]]
        return found

    def _follows(self, before: Any, after: Any) -> bool:
        if before == after:
            return self.sign.endswith("_equal")
        return bool(after > before) is self.sign.startswith("greater")
