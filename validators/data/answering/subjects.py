"""What can be drawn of an expectation: the column that it is about, and what may be in there."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final, Literal, NamedTuple

from validators.data.answering.of_columns import limits, listed_in
from validators.data.metrics.bins import Steps, ValueBounds, bounds, steps
from validators.data.metrics.conditions import Condition, condition_of
from validators.data.metrics.shape import per_unit, unit_of
from validators.data.reading.dataset import OpenedDataset
from validators.data.suites.suite import Expectation
from validators.data.values.common_types import is_text
from validators.data.values.literals import Unfit, number_of

_EACH: Final = frozenset(f"expect_column_{name}_to_be_between" for name in ("values", "min", "max"))
"""Whose limits hold for each value of the column."""
_STATISTICS: Final = frozenset(f"expect_column_{name}_to_be_between" for name in ("mean", "median"))
"""Whose limits are values of the column."""
_LENGTHS: Final = frozenset(
    f"expect_column_value_lengths_to_{name}" for name in ("be_between", "equal")
)
_AMONG: Final = frozenset({
    "expect_column_values_to_be_in_set",
    "expect_column_distinct_values_to_be_in_set",
    "expect_column_distinct_values_to_equal_set",
})  # fmt: skip
_NOT_AMONG: Final = "expect_column_values_to_not_be_in_set"

Unit = Literal["number", "day", "second", "character"]


class Subject(NamedTuple):
    """What an expectation is about, if it can be drawn."""

    column: str
    kind: Any
    """The Arrow type of the column."""
    condition: Condition | None
    limits: ValueBounds = ValueBounds(None, None)
    listed: tuple[object, ...] = ()
    """The members of a set, which are drawn in place of a histogram."""
    forbids: bool = False
    """Whether the column may have no value of the set."""
    is_of_values: bool = True
    """Whether each value has to be within the limits, and not a statistic such as their mean."""
    unit: Unit = "number"

    @property
    def is_whole(self) -> bool:
        """Whether what is drawn are whole numbers."""
        import pyarrow as pa

        whole = pa.types.is_integer(self.kind) or pa.types.is_date(self.kind)
        return self.unit == "character" or bool(whole)

    @property
    def steps(self) -> Steps:
        """Where the bins may begin."""
        return steps(self.limits, whole=self.is_whole)


def subjects(
    dataset: OpenedDataset, expectations: Mapping[int, Expectation], most: int
) -> dict[int, Subject]:
    """What each of the expectations is about that can be drawn, by place; of `most` columns."""
    found: dict[int, Subject] = {}
    columns: set[str] = set()
    for at, one in expectations.items():
        try:
            subject = _subject(dataset, one)
        except Unfit:
            continue
        if subject is not None and len(columns | {subject.column}) <= most:
            columns.add(subject.column)
            found[at] = subject
    return found


def _subject(dataset: OpenedDataset, one: Expectation) -> Subject | None:
    kwargs = one.kwargs
    column = kwargs.get("column")
    kind = dataset.kinds.get(column) if isinstance(column, str) else None
    if kind is None or not isinstance(column, str):
        return None
    subject = Subject(column, kind, condition_of(kwargs))
    if one.type in _AMONG or one.type == _NOT_AMONG:
        listed = tuple({str(each): each for each in listed_in(kwargs, kind)}.values())
        if listed:
            return subject._replace(listed=listed, forbids=one.type == _NOT_AMONG)
    if one.type in _LENGTHS:
        return _of_lengths(subject, kwargs) if is_text(kind) else None
    unit = unit_of(kind)
    if unit is None:
        return None
    subject = subject._replace(unit=unit)
    if one.type not in _EACH | _STATISTICS:
        return subject
    return _limited(subject, limits(kwargs, kind), kwargs)._replace(is_of_values=one.type in _EACH)


def _of_lengths(subject: Subject, kwargs: Mapping[str, Any]) -> Subject:
    subject = subject._replace(unit="character")
    if "value" not in kwargs:
        return _limited(subject, limits(kwargs), kwargs)
    length = number_of(kwargs["value"])
    return _limited(subject, (length, length), {})


def _limited(subject: Subject, ends: Iterable[Any], kwargs: Mapping[str, Any]) -> Subject:
    low, high = (None if at is None else in_units(at, subject) for at in ends)
    strict = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))
    return subject._replace(limits=bounds(low, high, strict=strict, whole=subject.is_whole))


def in_units(at: Any, subject: Subject) -> float | None:
    """A position of a value (see `literals.Position`), or a length, as it is drawn; None if it is
    infinite."""
    found = float(at) / (1 if subject.unit == "character" else per_unit(subject.kind))
    return found if isfinite(found) else None
