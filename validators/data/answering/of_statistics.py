"""Expectations on aggregates of one column: exact, or floats if the column holds floats."""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import isclose, isnan, sqrt
from typing import Any

from specs.figures import number, significant
from validators.data.answering.of_columns import (
    distinct,
    fraction_of,
    limits,
    mapped,
    shown,
    values_in,
    within,
)
from validators.data.metrics.distinct import AllValues
from validators.data.metrics.measured import Measured
from validators.data.metrics.metric import ColumnMetric, Extremes, Nulls
from validators.data.metrics.sums import BelowScore, Moments, NearMean, Total, is_countable
from validators.data.metrics.tally import Neighbours, has_keys
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.values.literals import Position, Unfit, number_of, of_value, steps

Kwargs = Mapping[str, Any]
_CLOSE = 1e-4
"""A float quantile within this share of a limit counts as the limit, as in Great Expectations."""


def least(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return _extreme(of, kwargs, 0)


def greatest(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return _extreme(of, kwargs, 1)


def _extreme(of: Measured, kwargs: Kwargs, which: int) -> ExpectationOutcome:
    extremes = of(Extremes(kwargs["column"]))
    kind = of.kinds[kwargs["column"]]
    if not extremes:
        raise Unfit(f"a column of {kind} has no least or greatest value")
    return _between(of, fraction_of(extremes[which]), kind, kwargs)


def mean(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow as pa

    kind, total = _number_kind(of, kwargs), of(Total(kwargs["column"], "mean"))
    n = values_in(of, kwargs["column"])
    if pa.types.is_floating(kind):
        return _between_floats(of, total / n, kwargs)
    return _between(of, Fraction(total, n), kind, kwargs)


def total_between(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow as pa

    kind = _number_kind(of, kwargs)
    if pa.types.is_temporal(kind):
        raise Unfit(f"a column of {kind} has no sum")
    total = of(Total(kwargs["column"], "sum"))
    if pa.types.is_floating(kind):
        return _between_floats(of, total, kwargs)
    return _between(of, Fraction(total), kind, kwargs)


def deviation(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    _, found = _spread(of, kwargs["column"])
    if found is None:
        return ExpectationOutcome(
            place=0, success=False, n=1, nothing="one value has no standard deviation"
        )
    return _between_floats(of, found, kwargs)


def median(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    found = next(_quantiles(of, kwargs["column"], [Fraction(1, 2)], "linear"))
    return _between(of, found, _number_kind(of, kwargs), kwargs)


def quantiles(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    """Each quantile within its own range; null means no limit."""
    kind = _number_kind(of, kwargs)
    asked = kwargs["quantile_ranges"]
    shares = [Fraction(number_of(share)) for share in asked["quantiles"]]
    how = kwargs.get("allow_relative_error") or "nearest"
    found = list(_quantiles(of, kwargs["column"], shares, how))
    good = [_close(at, pair, kind) for at, pair in zip(found, asked["value_ranges"], strict=True)]
    told = [
        f"{number(share)}: {significant(value) if isinstance(value, float) else number(value)}"
        for share, at in zip(asked["quantiles"], found, strict=True)
        if (value := shown(at, kind)) is not None
    ]
    n = values_in(of, kwargs["column"])
    return ExpectationOutcome(place=0, success=all(good), observed=", ".join(told) or None, n=n)


def _close(at: Position, pair: list[Any], kind: Any) -> bool:
    kwargs = dict(zip(("min_value", "max_value"), pair, strict=True))
    if within(at, kwargs, kind):
        return True
    ends = [end for end in limits(kwargs, kind) if isinstance(end, float)]
    return isinstance(at, float) and any(isclose(at, end, rel_tol=_CLOSE) for end in ends)


def distinct_count(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    found = distinct(of, kwargs["column"]).distinct
    n = values_in(of, kwargs["column"])
    return ExpectationOutcome(place=0, success=within(Fraction(found), kwargs), observed=found, n=n)


def distinct_share(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    found = distinct(of, kwargs["column"]).distinct
    return _share(found, values_in(of, kwargs["column"]), kwargs)


def non_null_share(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    rows, nulls = of(Nulls(kwargs["column"]))
    return _share(rows - nulls, rows, kwargs)


def _share(part: int, whole: int, kwargs: Kwargs) -> ExpectationOutcome:
    share = Fraction(part, whole)
    return ExpectationOutcome(
        place=0, success=within(share, kwargs), observed=float(share), n=whole
    )


def z_scores(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    """Each value's distance from the mean, in standard deviations; undefined if all are equal."""
    column = kwargs["column"]
    (n, centre, _), deviation_found = _spread(of, column)
    if not deviation_found or isnan(deviation_found):
        return _no_spread(n, deviation_found, "so there are no z-scores")
    threshold = float(number_of(kwargs["threshold"]))
    both = bool(kwargs.get("double_sided"))
    return mapped(n, of(BelowScore(column, centre, deviation_found, threshold, both)), kwargs)


def no_outliers(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    """Within some standard deviations of the mean, or interquartile ranges of the quartiles."""
    column = kwargs["column"]
    of.each(*_about_outliers(of, kwargs))
    (n, centre, _), deviation_found = _spread(of, column)
    reach = float(number_of(kwargs.get("multiplier", 1.5)))
    if deviation_found is None or isnan(deviation_found):
        return _no_spread(n, deviation_found, "so outliers are not defined")
    if kwargs.get("method", "iqr") == "std":
        reach *= deviation_found
        low, high, closed = (-reach, reach, False) if reach > 0 else (0.0, 0.0, True)
    else:
        low, high = (
            _away(at, centre, of.kinds[column])
            for at in _quantiles(of, column, [Fraction(1, 4), Fraction(3, 4)], "linear")
        )
        reach *= high - low
        low, high, closed = low - reach, high + reach, True
    return mapped(n, of(NearMean(column, centre, low, high, closed)), kwargs)


def _about_outliers(of: Measured, kwargs: Kwargs) -> Iterator[ColumnMetric]:
    """What all of it needs, to be measured at once."""
    column = kwargs["column"]
    yield from (Moments(column), Extremes(column))
    if kwargs.get("method", "iqr") == "iqr" and has_keys(of.kinds[column]):
        yield Neighbours(column, (Fraction(1, 4), Fraction(3, 4)))


def _away(at: Any, centre: str | float, kind: Any) -> float:
    """The distance of a position from the mean, in units of the values."""
    if isinstance(centre, str):
        return float(Fraction(at) / steps(kind) - Fraction(centre))
    return float(at) - centre


def _no_spread(n: int, deviation_found: float | None, so: str) -> ExpectationOutcome:
    why = f"all {n:,} values are equal"
    if deviation_found is None:
        why = "there is one value"
    elif isnan(deviation_found):
        why = "some values are infinite"
    return ExpectationOutcome(place=0, success=False, n=n, nothing=f"{why}, {so}")


# -- computing them --------------------------------------------------------------------------------


def _number_kind(of: Measured, kwargs: Kwargs) -> Any:
    """The column's type, in which true is 1 and false is 0."""
    import pyarrow as pa

    kind = of.kinds[kwargs["column"]]
    return pa.int8() if pa.types.is_boolean(kind) else kind


def _between(of: Measured, at: Position, kind: Any, kwargs: Kwargs) -> ExpectationOutcome:
    n = values_in(of, kwargs["column"])
    return ExpectationOutcome(
        place=0, success=within(at, kwargs, kind), observed=shown(at, kind), n=n
    )


def _between_floats(of: Measured, found: float, kwargs: Kwargs) -> ExpectationOutcome:
    """For aggregates that are always floats: the limits are read as floats, too."""
    import pyarrow as pa

    success = within(found, kwargs, pa.float64())
    n = values_in(of, kwargs["column"])
    return ExpectationOutcome(place=0, success=success, observed=found, n=n)


def _spread(of: Measured, column: str) -> tuple[list[Any], float | None]:
    """The moments, and the standard deviation (n - 1); None for less than two values."""
    moments, extremes = of.each(Moments(column), Extremes(column))
    n, _, squares = moments
    if n < 2:
        return moments, None
    if extremes[0] == extremes[1]:
        return moments, 0.0
    return moments, sqrt(squares / (n - 1)) if squares >= 0 else squares


def _quantiles(of: Measured, column: str, shares: list[Fraction], how: str) -> Iterator[Position]:
    """The values at these shares of the sorted column."""
    import pyarrow as pa

    kind = of.kinds[column]
    if not (
        is_countable(kind)
        or pa.types.is_temporal(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
    ):
        raise Unfit(f"a column of {kind} has no quantiles")
    for place, low, high in _neighbours(of, column, shares):
        yield _mixed(low, high, place - int(place), int(place), how)


def _neighbours(
    of: Measured, column: str, shares: list[Fraction]
) -> Iterator[tuple[Fraction, Any, Any]]:
    """For each share: its place among the sorted values, and the positions before and after it."""
    import pyarrow as pa

    kind = of.kinds[column]
    if has_keys(kind):
        for place, low, high in of(Neighbours(column, tuple(shares))):
            yield place, fraction_of(low), fraction_of(high)
        return
    ordered = pa.chunked_array(of(AllValues(column)), kind).sort()
    last = len(ordered) - 1
    for share in shares:
        place = share * last
        before = int(place)
        yield place, of_value(ordered[before]), of_value(ordered[min(before + 1, last)])


def _mixed(low: Any, high: Any, rest: Fraction, place: int, how: str) -> Position:
    """Interpolate between two neighbours, like numpy's method of the same name."""
    weights: Mapping[str, Callable[[], Fraction]] = {
        "linear": lambda: rest,
        "lower": lambda: Fraction(0),
        "higher": lambda: Fraction(rest > 0),
        "midpoint": lambda: Fraction(1, 2) if rest else Fraction(0),
        "nearest": lambda: Fraction(round(place + rest) - place),
    }
    if how not in weights:
        raise Unfit(f"`allow_relative_error` must be one of {', '.join(weights)}")
    weight = weights[how]()
    if weight in (0, 1) or low == high:
        found: Position = high if weight == 1 else low
        return found
    mixed: Position = low + (high - low) * (float(weight) if isinstance(low, float) else weight)
    return mixed
