"""Numbers, shares and times for people, written alike wherever they are shown.

The spec's own notation (`5%`, `1h30m`) is in `specs.values`.
"""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite


def number(value: object) -> str:
    """A number or date from a spec or suite: thousands separated, at most six significant digits,
    and no time of day at midnight."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 1e15
        return f"{int(value):,}" if whole else f"{value:,.6g}"
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return str(value)


def significant(value: float, limits: Sequence[float] = ()) -> str:
    """A measured value: four significant digits, and always every digit before the point.

    A value close to 1, -1 or a limit gets as many digits as it takes to read on its own side.
    """
    if isinstance(value, int) or not isfinite(value):
        return number(value)
    for digits in range(4, 17):
        text = f"{value:,.0f}" if digits == 4 and abs(value) >= 1000 else f"{value:,.{digits}g}"
        shown = float(text.replace(",", ""))
        if all(_side(shown, one) == _side(value, one) for one in (1, -1, *limits)):
            break
    return "0" if text == "-0" else text


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)


def signed(difference: float, limits: Sequence[float] = ()) -> str:
    """A measured difference with its sign."""
    return ("+" if difference > 0 else "") + significant(difference, limits)


def percent(share: float) -> str:
    """A share of 1 as a percentage: a tiny one never reads as 0 %, nor one near 1 as 100 %."""
    value = share * 100
    if 0 < value < 0.01:
        return "<0.01 %"
    if 99.99 < value < 100:
        return ">99.99 %"
    return f"{value:.2f}".rstrip("0").rstrip(".") + " %"


def rounded(value: float, digits: int = 3) -> str:
    """For a glance: `digits` significant digits, every digit before the point, no exponent."""
    if not isfinite(value):
        return str(value)
    text = f"{value:,.{digits}g}"
    if "e" not in text:
        return "0" if text == "-0" else text
    if abs(value) >= 1:
        return f"{value:,.0f}"
    small = f"{value:.6f}".rstrip("0").rstrip(".")
    return small if float(small) else "<0.000001" if value > 0 else ">-0.000001"


def relative(change: float) -> str:
    """A relative change as a percentage, with its sign: `+7.9 %`, `-12 %`, `+1,500 %`."""
    text = rounded(100 * change)
    return ("" if text.startswith(("-", ">", "<")) or text == "0" else "+") + text + " %"


def milliseconds(seconds: float) -> str:
    """A latency: `0.8 ms`, `131 ms`, `12,400 ms`."""
    return f"{rounded(1000 * seconds)} ms"


def duration(seconds: float) -> str:
    """`0.4 s`, `45 s`, `12 min`, `3 h 20 min`, `4 days 2 h`."""
    if seconds < 10:
        return f"{rounded(max(seconds, 0.0), 2)} s"
    if (whole := round(seconds)) < 120:
        return f"{whole} s"
    if (minutes := round(seconds / 60)) < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def clip(text: str, longest: int = 80) -> str:
    """The text on one line, cut at a length."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
