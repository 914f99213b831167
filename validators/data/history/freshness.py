"""How old the newest value of a column of times is. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from specs.dataset_checks import FreshnessRule
from specs.figures import duration
from specs.values import format_duration
from validators.data.history.verdicts import found, impossible, undecided
from validators.report import Check

_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY: Final = 86_400


def is_time(kind: Any) -> bool:
    """Whether a column of this Arrow type has points in time."""
    import pyarrow as pa

    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def freshness_check(rule: FreshnessRule, kind: Any, newest: Any, at: float) -> Check:
    """Whether the newest value is young enough. `newest` is its position in the unit of the type
    (see `literals.Position`), None if there are no values; `at` is in seconds since the epoch."""
    column = rule.column
    name = f"freshness of {column}"
    limit = f"at most {format_duration(rule.within)} old"
    if not is_time(kind):
        return impossible(
            name,
            f"`{column}` is {kind}, which is no point in time",
            f"Declare it as a timestamp under `types`, or name another column: `{column}`.",
            column,
        )
    if newest is None:
        why = f"all values of `{column}` are null, so none is fresh"
        return found(rule, name, why, passes=False, subject=column, limit=limit)
    seconds = _seconds(newest, kind)
    told = _told(seconds)
    age = at - seconds
    when = f"the newest value is {told}"
    if age < 0:
        message = f"{when}, {duration(-age)} after the run began: a value in the future"
    else:
        message = f"{when}, {duration(age)} before the run began"
    return found(
        rule,
        name,
        message,
        passes=0 <= age <= rule.within.total_seconds(),
        subject=column,
        observed=told,
        limit=limit,
        next_step="Look at where the data comes from: it delivers no newer rows."
        if age >= 0
        else f"Correct the clock or the zone of `{column}`: times without a zone are read as UTC.",
    )


def of_nothing(rule: FreshnessRule) -> Check:
    """The check of a dataset without rows."""
    return undecided(f"freshness of {rule.column}", "the dataset has no rows", n=0)


def _seconds(newest: Any, kind: Any) -> float:
    """Seconds since the epoch; a date is its first moment in UTC."""
    import pyarrow as pa

    if pa.types.is_date32(kind):
        return float(int(newest) * _DAY)
    unit = "ms" if pa.types.is_date64(kind) else kind.unit
    return float(int(newest)) / _PER_SECOND[unit]


def _told(seconds: float) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds:g} s after 1970"
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
