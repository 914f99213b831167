"""Numbers as a reviewer reads them, the same in every report."""

from datetime import datetime


def number(value: object) -> str:
    """A number or date: thousands apart, six significant digits at most, no empty time of day."""
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


def percent(share: float) -> str:
    """A share of 1 in per cent; a share that is not nothing never reads as nothing."""
    value = share * 100
    if 0 < value < 0.01:
        return "<0.01 %"
    if 99.99 < value < 100:
        return ">99.99 %"
    return f"{value:.2f}".rstrip("0").rstrip(".") + " %"


def clip(text: str, longest: int = 80) -> str:
    """The text on one line, cut at a length."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
