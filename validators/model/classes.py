"""Labels and predictions by value: 1, 1.0, "1" and true are one, whatever types writers chose."""

import re
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
"""Float64, or texts."""

NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,3})?", re.ASCII)
"""How a number is written."""

_PADDED: Final = re.compile(r"[+-]?0\d")


def as_numbers(values: Values) -> Values:
    """Texts that are numbers or truth values, every one, as float64; other columns as they are.

    A number with zeros before it (`01`) is a name, such as a zip code, and stays one.
    """
    if is_number(values):
        return values
    found, codes = np.unique(values, return_inverse=True)
    numbers = [_number(text) for text in found]
    if None in numbers or any(_PADDED.match(text) for text in found):
        return values
    return np.array(numbers, np.float64)[codes]


def alike(one: Values, other: Values) -> tuple[Values, Values]:
    """The two columns in one type, so that the same value is equal in both.

    One text among numbers makes a whole column text for its reader; the numbers in it still are
    what they are in the other column.
    """
    if is_number(one) and is_number(other):
        return one, other
    mixed = is_number(one) != is_number(other)
    return _spelled(one, mixed), _spelled(other, mixed)


def is_number(values: Values) -> bool:
    """Whether the column holds numbers (or truth values), not text."""
    return values.dtype == np.float64


def kind_of(values: Values) -> str:
    """The type of a column as a person says it."""
    return "numbers" if is_number(values) else "text"


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
    return text if number is None else _spelling(number)


def _spelling(number: float) -> str:
    return repr(float(number) + 0.0)  # -0.0 is 0.0


def _number(text: str) -> float | None:
    """What the text stands for, if that is a number or a truth value."""
    lower = text.lower()
    if lower in ("true", "false"):
        return float(lower == "true")
    if not NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if isfinite(number) else None
