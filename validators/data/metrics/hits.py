"""How many values, or rows, meet what an expectation asks of each."""

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

from specs.figures import clip
from validators.data.metrics.batch import Distinct, RowBatch, counted
from validators.data.metrics.metric import ColumnMetric, Footer, OfColumn
from validators.data.values.frame import frame_of
from validators.data.values.literals import Position, Unfit, at_least, at_most, members

SHOWN: Final = 1000
"""Distinct values that are counted, of which a report shows a few."""


@dataclass(frozen=True)
class Hits(OfColumn):
    """How many values of one column meet a rule; values that are null do not count."""

    def of(self, batch: RowBatch) -> int:
        values, weights = batch.encoded(self.column) or Distinct(batch.values(self.column), None)
        return counted(self.mask(values), weights)

    @abstractmethod
    def mask(self, values: Any) -> Any:
        """Which of these (settled) values meet it, as an Arrow mask."""

    def merged(self, states: Sequence[int]) -> int:
        return sum(states)


@dataclass(frozen=True)
class InRange(Hits):
    """How many values lie between two limits (None: no limit), in positions of the column's
    type."""

    low: Position | None
    high: Position | None
    strict_low: bool
    strict_high: bool

    def of(self, batch: RowBatch) -> int:
        is_encoded = batch.encoded(self.column) is not None
        extremes = None if is_encoded else batch.extremes(self.column)
        if extremes is not None and self._holds(*extremes):
            return len(batch.values(self.column))
        return super().of(batch)

    def of_footer(self, footer: Footer) -> int | None:
        extremes, nulls = footer.extremes(self.column), footer.nulls(self.column)
        if extremes is None or nulls is None or not self._holds(*extremes):
            return None
        return footer.rows - nulls

    def _holds(self, least: Any, greatest: Any) -> bool:
        """Whether all values from the least to the greatest are in the range."""
        above = self.low is None or (least > self.low if self.strict_low else least >= self.low)
        if self.high is None:
            return bool(above)
        return bool(above and (greatest < self.high if self.strict_high else greatest <= self.high))

    def mask(self, values: Any) -> Any:
        import pyarrow.compute as pc

        met = pc.is_valid(values)
        if self.low is not None:
            met = pc.and_(met, at_least(values, self.low, strict=self.strict_low))
        if self.high is not None:
            met = pc.and_(met, at_most(values, self.high, strict=self.strict_high))
        return met


@dataclass(frozen=True)
class Members(Hits):
    """How many values are among the members that a suite lists."""

    listed: tuple[object, ...]

    def mask(self, values: Any) -> Any:
        import pyarrow.compute as pc

        return pc.is_in(values, value_set=members(self.listed, values.type))


@dataclass(frozen=True)
class Present(OfColumn):
    """For each member that a suite lists: whether some value equals it."""

    listed: tuple[object, ...]

    def of(self, batch: RowBatch) -> list[bool]:
        import pyarrow.compute as pc

        encoded = batch.encoded(self.column)
        values = batch.values(self.column) if encoded is None else encoded.values
        every = members(self.listed, values.type)
        found = pc.unique(values.filter(pc.is_in(values, value_set=every)))
        return [self._is_there(one, found) for one in self.listed]

    def _is_there(self, member: object, found: Any) -> bool:
        import pyarrow.compute as pc

        return counted(pc.is_in(members([member], found.type), value_set=found)) > 0

    def merged(self, states: Sequence[list[bool]]) -> list[bool]:
        return [any(parts) for parts in zip(*states, strict=True)]


@dataclass(frozen=True)
class Matches(Hits):
    """How many texts match one of the patterns, or every one, as pandas matches them.

    Each distinct text is looked at once, as what pandas' dialect of patterns is depends on its
    version and the pattern. Raises `Unfit` for what is no pattern.
    """

    patterns: tuple[str, ...]
    every: bool

    def of(self, batch: RowBatch) -> int:
        values, counts = batch.distinct(self.column)
        return counted(self.mask(values), counts)

    def mask(self, values: Any) -> Any:
        import pyarrow as pa

        texts = frame_of(pa.table({"values": values}))["values"].astype(str)
        met: Any = None
        for pattern in self.patterns:
            try:
                one = texts.str.contains(pattern)
            except (re.error, pa.ArrowInvalid) as error:
                why = str(error).splitlines()[0].removeprefix("Invalid regular expression: ")
                raise Unfit(f"`{clip(pattern)}` is not a regular expression: {clip(why)}") from None
            met = one if met is None else (met & one if self.every else met | one)
        return pa.array(met.to_numpy(dtype=bool))


@dataclass(frozen=True)
class Like(Hits):
    """How many texts match one of these regular expressions of RE2, or every one."""

    patterns: tuple[str, ...]
    every: bool

    def mask(self, values: Any) -> Any:
        import pyarrow.compute as pc

        join = pc.and_ if self.every else pc.or_
        each = [pc.match_substring_regex(values, one) for one in self.patterns]
        return pc.fill_null(reduce(join, each), fill_value=False)


@dataclass(frozen=True)
class Lengths(Hits):
    """How many texts have a length, in characters, between two limits (None: no limit)."""

    low: Position | None
    high: Position | None
    strict_low: bool
    strict_high: bool

    def mask(self, values: Any) -> Any:
        import pyarrow.compute as pc

        lengths = pc.utf8_length(values)
        met = pc.is_valid(lengths)
        if self.low is not None:
            met = pc.and_(met, at_least(lengths, self.low, strict=self.strict_low))
        if self.high is not None:
            met = pc.and_(met, at_most(lengths, self.high, strict=self.strict_high))
        return met


@dataclass(frozen=True)
class Strangers(OfColumn):
    """Some of the distinct values that do not meet a rule (with `against`, that do), as texts.

    To be shown only if the team allows it for the column.
    """

    rule: Hits
    against: bool

    def of(self, batch: RowBatch) -> list[str]:
        import pyarrow.compute as pc

        encoded = batch.encoded(self.column)
        values = batch.values(self.column) if encoded is None else encoded.values
        met = self.rule.mask(values)
        found = pc.unique(values.filter(met if self.against else pc.invert(met)))
        return [str(one) for one in found[:SHOWN].to_pylist()]

    def merged(self, states: Sequence[list[str]]) -> list[str]:
        return list(dict.fromkeys(one for state in states for one in state))[:SHOWN]

    def dump(self, state: list[str]) -> None:
        """Never kept: they are values."""


@dataclass(frozen=True)
class RowsMeeting(ColumnMetric):
    """How many rows have values (by `ignored`), and how many of those meet a rule.

    The rule is named by the expectation's type and kwargs.
    """

    type: str
    kwargs: str
    """As text, to tell one from another."""
    over: tuple[str, ...]
    ignored: str
    rule: Callable[[RowBatch, Mapping[str, Any]], Any] = field(repr=False, compare=False)
    """Gives a mask of the rows that meet it."""
    arguments: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.over

    def of(self, batch: RowBatch) -> list[int]:
        left = batch.with_values(self.over, self.ignored)
        if left.rows == 0:
            return [0, 0]
        return [left.rows, counted(self.rule(left, self.arguments))]

    def merged(self, states: Sequence[list[int]]) -> list[int]:
        return [sum(parts) for parts in zip(*states, strict=True)]
