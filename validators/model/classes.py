"""Labels and predictions by value: 1, 1.0, "1" and true are one, whatever types writers chose."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
"""Float64, or texts."""

NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,3})?", re.ASCII)
"""How a number is written."""

EXACT: Final = 2**53
"""Up to here a float64 tells all whole numbers apart."""

_PADDED: Final = re.compile(r"[+-]?0\d")
_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::(\d\d))?(?:\.(\d+))? ?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def as_numbers(values: Values) -> Values:
    """Texts that are numbers or truth values, every one, as float64; other columns as they are.

    A number with zeros before it (`01`) is a name, such as a zip code, and stays one; so does a
    whole number that a float64 cannot hold.
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
    """Every value as the nearest float64; None if one is no number."""
    if is_number(values):
        return values
    found, codes = np.unique(values, return_inverse=True)
    numbers = [_number(text) for text in found]
    return None if None in numbers else np.array(numbers, np.float64)[codes]


def alike(*columns: Values) -> tuple[Values, ...]:
    """The columns in one type, so that the same value is equal in all of them.

    One text among numbers makes a whole column text for its reader; the numbers in it still are
    what they are in the other columns.
    """
    numeric = [is_number(values) for values in columns]
    if all(numeric):
        return columns
    return tuple(_spelled(values, any(numeric)) for values in columns)


def is_number(values: Values) -> bool:
    """Whether the column holds numbers (or truth values), not text."""
    return values.dtype == np.float64


def kind_of(values: Values) -> str:
    """The type of a column as a person says it."""
    return "numbers" if is_number(values) else "text"


def shown(value: object) -> str:
    """A value as a person writes it: `1`, not `1.0`."""
    text = str(value)
    return text.removesuffix(".0") if NUMBER.fullmatch(text) else text


def moment(text: str) -> str | None:
    """A date or time in one spelling, in UTC where it says how far it is from it; None if it is
    none. A date is the beginning of its day."""
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
    """Every value as text, numbers in one spelling.

    `01` is 1 only against a column of numbers, which cannot hold the zero, and only where the
    column does not tell `01` from `1` itself.
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
    """A number in one spelling, with all its digits."""
    digits = f"{Decimal(text):f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _holds(number: float, text: str) -> bool:
    """Whether the float is what the text says; up to 2^53 the nearest is taken for it."""
    if abs(number) < EXACT:
        return True
    return Decimal(text) in (Decimal(number), Decimal(repr(float(number))))


def _number(text: str) -> float | None:
    """What the text stands for, if that is a number or a truth value."""
    lower = text.lower()
    if lower in ("true", "false"):
        return float(lower == "true")
    if not NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if isfinite(number) else None
