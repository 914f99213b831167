"""The outcome of one expectation, reduced to what may be shown: counts and aggregates only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from validators.report import HEADGATE, FailingObject


class Misfit(NamedTuple):
    """Why an expectation cannot be evaluated, and the type that was probably meant."""

    why: str
    meant: str | None = None


@dataclass(frozen=True)
class ExpectationOutcome:
    """The outcome of the expectation at `place` in the suite."""

    place: int
    success: bool
    unexpected: int | None = None
    """How many values (or distinct values) do not meet it."""
    evaluated: int | None = None
    """Out of how many; nulls count only if the expectation is about nulls."""
    observed: float | str | date | Decimal | None = None
    """An aggregate: number, date or type name."""
    span: tuple[Any, Any] | None = None
    """Least and greatest value of a numeric or date column with values out of range."""
    strangers: tuple[str, ...] = ()
    """Some distinct values that do not meet it, of a column whose values may be shown."""
    objects: tuple[FailingObject, ...] = ()
    """The objects with values or rows that do not meet it, where that can be said."""
    lacking: tuple[str, ...] = ()
    """The members of the suite's set that the column lacks."""
    n: int | None = None
    """How many values or rows were evaluated; None for expectations about the table."""
    rows: int | None = None
    """How many rows meet its condition, with or without a value; None if that was not counted."""
    nothing: str | None = None
    """Why nothing was checked, e.g. no row meets the condition; None if something was."""
    refused: str | None = None
    """Why a value in the suite cannot be read as the column's type, with the fix."""
    names: tuple[str, ...] | None = None
    """The columns of the table, for expectations about columns."""
    engine: str = HEADGATE
    """Who evaluated it."""
    raised: str | None = None
    """The class of the exception that prevented the evaluation; its message may quote data."""


_ABOUT_NULLS = re.compile(r"expect_column_values_to_(not_)?be_null$")
_ABOUT_COLUMNS = re.compile(r"expect_table_columns?_")
_ABOUT_TYPES = re.compile(r"expect_column_(values_to_be_(of|in)_type|type_to_be)")


def is_about_nulls(type_: str) -> bool:
    """Whether an expectation of this type looks at rows without a value as well."""
    return _ABOUT_NULLS.match(type_) is not None


def outcome_of(
    *,
    place: int,
    type: str,  # noqa: A002 - the name that Great Expectations uses
    success: object,
    result: Mapping[str, Any],
    exception_info: Mapping[str, Any] | None,
) -> ExpectationOutcome:
    """Reduce one result. `success` is a bool, a numpy bool or the text "True"."""
    raised = exception_class(exception_info)
    passed = str(success) == "True" and raised is None
    elements = result.get("element_count")
    missing = 0 if is_about_nulls(type) else result.get("missing_count") or 0
    value = result.get("observed_value")
    names = None
    if _ABOUT_COLUMNS.match(type) and isinstance(value, list):
        names = tuple(str(name) for name in value)
    return ExpectationOutcome(
        place=place,
        success=passed,
        unexpected=_count(result.get("unexpected_count")),
        evaluated=None if elements is None else int(elements) - int(missing),
        observed=_shown(value, is_type=bool(_ABOUT_TYPES.match(type))),
        names=names,
        raised=raised,
    )


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _shown(value: object, *, is_type: bool) -> float | str | date | None:
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float | date):
        return value
    return value if is_type and isinstance(value, str) else None


def exception_class(info: Mapping[str, Any] | None) -> str | None:
    """The class of the exception, or None if none was raised.

    Great Expectations gives one flat mapping, or one such mapping per failed metric.
    """
    if not info:
        return None
    flat = [info] if "raised_exception" in info else list(info.values())
    for one in flat:
        if isinstance(one, Mapping) and one.get("raised_exception"):
            return _last_class(str(one.get("exception_traceback") or "")) or "unknown error"
    return None


def _last_class(traceback: str) -> str | None:
    """The class of the original error: the first one that a traceback names at the start of a line.

    Its wrapper (`MetricResolutionError`) comes later and says less.
    """
    found = re.search(
        r"^(?:[A-Za-z_]\w*\.)*([A-Z]\w*(?:Error|Exception|Interrupt))\b", traceback, re.MULTILINE
    )
    return found[1] if found else None
