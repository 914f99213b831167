"""Labels and predictions by value: 1, 1.0, "1" and true are equal, whatever types writers chose."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
"""Float64 or text."""

NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,3})?", re.ASCII)
"""The spelling of a number."""

EXACT: Final = 2**53
"""Up to this, a float64 can represent every whole number."""

_PADDED: Final = re.compile(r"[+-]?0\d")
_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::(\d\d))?(?:\.(\d+))? ?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def as_numbers(values: Values) -> Values:
    """Text as float64 if every value is a number or boolean; other columns unchanged.

    A column with leading zeros (`01`) holds names, such as zip codes, and stays text; so does one
    with whole numbers that a float64 cannot represent.
    """
    if is_number(values):
        return values
    found, codes = np.unique(values, return_inverse=True)
    numbers = [_number(text) for text in found]
    if any(
        number is None or _PADDED.match(text) or not _holds(number, text)
        for number, text in zip(numbers, found, strict=True)
    ):
        return values
    return np.array(numbers, np.float64)[codes]


def as_floats(values: Values) -> NDArray[np.float64] | None:
    """Every value as the nearest float64; None if one is not a number."""
    if is_number(values):
        return values
    found, codes = np.unique(values, return_inverse=True)
    numbers = [_number(text) for text in found]
    return None if None in numbers else np.array(numbers, np.float64)[codes]


def alike(*columns: Values) -> tuple[Values, ...]:
    """The columns in one type, so that equal values compare equal across them.

    One text value among numbers makes the whole column text; its numbers still compare equal to
    those in the other columns.
    """
    numeric = [is_number(values) for values in columns]
    if all(numeric):
        return columns
    return tuple(_spelled(values, any(numeric)) for values in columns)


def is_number(values: Values) -> bool:
    """Whether the column holds numbers (or booleans), not text."""
    return values.dtype == np.float64


def kind_of(values: Values) -> str:
    """The type of a column in words."""
    return "numbers" if is_number(values) else "text"


def shown(value: object) -> str:
    """A value as people write it: `1`, not `1.0`."""
    text = str(value)
    return text.removesuffix(".0") if NUMBER.fullmatch(text) else text


def moment(text: str) -> str | None:
    """A date or time in one spelling, in UTC if it has an offset; None if it is neither. A date is
    the start of its day."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    day, minute, second, fraction, zone = found.groups()
    time = f"{minute or '00:00'}:{second or '00'}"
    if zone:
        try:
            there = datetime.fromisoformat(f"{day} {time}{zone}").astimezone(UTC)
        except (ValueError, OverflowError):
            return None
        day, time = there.isoformat()[:10], there.isoformat()[11:19]
    rest = (fraction or "").rstrip("0")
    return f"{day} {time}" + (f".{rest}" if rest else "")


def _spelled(values: Values, against_numbers: bool) -> NDArray[np.object_]:
    """Every value as text, with one spelling for numbers.

    `01` equals 1 only when compared with a column of numbers, which cannot hold the zero, and only
    if its own column does not have both `01` and `1`.
    """
    found, codes = np.unique(values, return_inverse=True)
    if is_number(values):
        return np.array([_spelling(number) for number in found], object)[codes]
    strict = [_spelling_of(text, padded=False) for text in found]
    lenient = [_spelling_of(text, padded=True) for text in found]
    told_apart = len(set(lenient)) < len(set(strict))
    return np.array(lenient if against_numbers and not told_apart else strict, object)[codes]


def _spelling_of(text: str, *, padded: bool) -> str:
    number = _number(text) if padded or not _PADDED.match(text) else None
    if number is None:
        return moment(text) or text
    return _spelling(number) if _holds(number, text) else _digits(text)


def _spelling(number: float) -> str:
    return repr(float(number) + 0.0)  # -0.0 is 0.0


def _digits(text: str) -> str:
    """A number in one spelling, with all of its digits."""
    digits = f"{Decimal(text):f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _holds(number: float, text: str) -> bool:
    """Whether the float equals the text; below 2^53 the nearest float counts as equal."""
    if abs(number) < EXACT:
        return True
    return Decimal(text) in (Decimal(number), Decimal(repr(float(number))))


def _number(text: str) -> float | None:
    """The value of the text, if it is a number or boolean."""
    lower = text.lower()
    if lower in ("true", "false"):
        return float(lower == "true")
    if not NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if isfinite(number) else None
