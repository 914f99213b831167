"""PURE. Times, durations and bars in the form that people read."""

from datetime import UTC, datetime

from specs.digests import short
from specs.figures import duration
from validators.render.safe_text import clean

__all__ = ["ago", "bar", "clean", "moment", "one_line", "short"]


def ago(then: float, now: float) -> str:
    """`just now`, `12 s ago`, `3 h 5 min ago`."""
    seconds = now - then
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


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
