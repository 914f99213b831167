"""PURE. Times, durations and bars in the form that people read."""

from datetime import UTC, datetime

from specs.digests import short
from validators.render.common import clean

__all__ = ["ago", "bar", "clean", "lasting", "moment", "one_line", "short"]


def lasting(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min`, `2 h 5 min`, `4 days`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{hours // 24} days"


def ago(then: float, now: float) -> str:
    """`just now`, `12 s ago`, `3 h 5 min ago`."""
    seconds = now - then
    return "just now" if seconds < 1 else f"{lasting(seconds)} ago"


def moment(seconds: float) -> str:
    """`2026-11-23 18:04:05 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def bar(part: float, width: int) -> tuple[str, str]:
    """The filled and the empty part of a bar."""
    full = round(min(max(part, 0.0), 1.0) * width)
    return "━" * full, "─" * (width - full)


def one_line(text: str, longest: int = 160) -> str:
    """Untrusted text on one line, without control characters and truncated."""
    line = " ".join(clean(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
