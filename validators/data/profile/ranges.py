"""PURE. Limits with slack, rounded to numbers that a person would write."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

_SLACK: Final = Fraction(1, 10)
_FAR: Final = 3
"""Values this many widths of the core away from it are outliers."""


def widened(low: Fraction, high: Fraction, *, whole: bool) -> tuple[Fraction, Fraction]:
    """The range and a tenth of its width on both sides, rounded outwards to two digits of the
    width. It does not cross zero, nor 1 or 100 where the values look like shares."""
    width = high - low
    step = Fraction(10) ** (magnitude(width) - 1)
    if whole:
        step = max(step, Fraction(1))
    least = math.floor((low - width * _SLACK) / step) * step
    most = math.ceil((high + width * _SLACK) / step) * step
    if low >= 0:
        least = max(least, Fraction(0))
        most = min(most, _whole_of(high) or most)
    if high <= 0:
        most = min(most, Fraction(0))
    return least, most


def _whole_of(high: Fraction) -> Fraction | None:
    """What the values are probably shares of, if the highest of them is near it."""
    if Fraction(9, 10) < high <= 1:
        return Fraction(1)
    return Fraction(100) if 99 < high <= 100 else None


def magnitude(number: Fraction) -> int:
    """The power of ten of its first digit: 2 for 340. The number is above zero."""
    return (Decimal(number.numerator) / Decimal(number.denominator)).adjusted()


def is_far(span: tuple[Any, Any], core: tuple[Any, Any]) -> bool:
    """Whether some values lie so far outside the core that they are probably wrong."""
    width = core[1] - core[0]
    return bool(
        width > 0 and (core[0] - span[0] > _FAR * width or span[1] - core[1] > _FAR * width)
    )


def down_to_two(count: int) -> int:
    """Rounded down to two digits: 168,388 is 160,000."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return count // step * step


def with_slack(share: float, n: int) -> float:
    """A share that must be met, below one of `n` values that was seen: half as many more may fail,
    or as many as chance brings. Rounded down to a whole per cent, near 1 to a tenth of it."""
    failing = 1 - share
    chance = 3 * math.sqrt(failing * share / n)
    least = share - max(failing / 2, chance)
    digits = 3 if least > 0.98 else 2
    scale: int = 10**digits
    return max(0.0, math.floor(least * scale) / scale)
