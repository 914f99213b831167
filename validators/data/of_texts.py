"""Expectations on how texts look: what Great Expectations evaluates by pandas, by pandas itself."""

import re
from typing import Any

from specs.figures import clip
from validators.data.frame import frame_of
from validators.data.literals import Unfit, at_least, at_most, number_of
from validators.data.of_columns import Kwargs, limits, mapped
from validators.data.outcome import ExpectationOutcome
from validators.data.rows import Rows, counted


def match_regex(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    found, n = _matches(rows, kwargs, [kwargs["regex"]], every=False)
    return mapped(n, found, kwargs)


def not_match_regex(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    found, n = _matches(rows, kwargs, [kwargs["regex"]], every=False)
    return mapped(n, n - found, kwargs)


def match_regex_list(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    every = kwargs.get("match_on") == "all"
    found, n = _matches(rows, kwargs, kwargs["regex_list"], every=every)
    return mapped(n, found, kwargs)


def not_match_regex_list(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    found, n = _matches(rows, kwargs, kwargs["regex_list"], every=False)
    return mapped(n, n - found, kwargs)


def _matches(rows: Rows, kwargs: Kwargs, patterns: list[str], *, every: bool) -> tuple[int, int]:
    """How many of how many values match one of the patterns, or every one. Each distinct value is
    looked at once, as what pandas' dialect of patterns is depends on its version and the pattern.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    counts = pc.value_counts(column)
    values = frame_of(pa.table({"values": counts.field("values")}))["values"].astype(str)
    met: Any = None
    for pattern in patterns:
        try:
            one = values.str.contains(pattern)
        except (re.error, pa.ArrowInvalid) as error:
            why = str(error).splitlines()[0].removeprefix("Invalid regular expression: ")
            raise Unfit(f"`{clip(pattern)}` is not a regular expression: {clip(why)}") from None
        met = one if met is None else (met & one if every else met | one)
    mask = pa.array(met.to_numpy(dtype=bool))
    return int(pc.sum(counts.field("counts").filter(mask)).as_py() or 0), len(column)


def lengths_between(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    lengths = pc.utf8_length(rows.values(kwargs))
    low, high = limits(kwargs)
    met = pc.is_valid(lengths)
    if low is not None:
        met = pc.and_(met, at_least(lengths, low, strict=bool(kwargs.get("strict_min"))))
    if high is not None:
        met = pc.and_(met, at_most(lengths, high, strict=bool(kwargs.get("strict_max"))))
    return mapped(len(lengths), counted(met), kwargs)


def lengths_equal(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    lengths = pc.utf8_length(rows.values(kwargs))
    found = number_of(kwargs["value"])
    met = pc.and_(at_least(lengths, found, strict=False), at_most(lengths, found, strict=False))
    return mapped(len(lengths), counted(met), kwargs)
