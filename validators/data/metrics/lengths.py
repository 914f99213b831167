"""How long texts are."""

from collections.abc import Sequence
from dataclasses import dataclass

from validators.data.metrics.batch import RowBatch
from validators.data.metrics.metric import OfColumn


@dataclass(frozen=True)
class LengthExtremes(OfColumn):
    """[shortest, longest] text, in characters; empty without values."""

    def of(self, batch: RowBatch) -> list[int]:
        import pyarrow.compute as pc

        encoded = batch.encoded(self.column)
        values = batch.values(self.column) if encoded is None else encoded.values
        ends = pc.min_max(pc.utf8_length(values))
        return [end.as_py() for end in ends.values() if end.is_valid]

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        ends = [end for state in states for end in state]
        return [min(ends), max(ends)] if ends else []
