"""PURE. A changed rule, and helpers to compare and print settings."""

from typing import Any

from controller.machine.core import Value
from specs.digests import short
from specs.values import format_duration, format_percent


class RuleChange(Value):
    """One changed rule."""

    rule: str
    """Where it is in the spec: `gates.model.checks: roc_auc at least 0.6`."""
    was: str
    now: str
    loosens: bool
    """Whether a candidate that would have been stopped could pass now."""
    exam_part: str | None = None
    """The part of the exam that changed: a file, or a place in the spec; None for other rules."""


def format_setting(value: Any) -> str:
    """A setting as text for people."""
    if hasattr(value, "total_seconds"):
        return format_duration(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return format_percent(value)
    if isinstance(value, tuple):
        return ", ".join(format_setting(each) for each in value) or "none"
    if hasattr(value, "model_dump"):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    if value is None:
        return "none"
    return short(value) if isinstance(value, str) and value.startswith("sha256:") else str(value)


def is_limit_raised(was: float | None, now: float | None) -> bool:
    """Whether an upper limit was raised or removed."""
    return was is not None and (now is None or now > was)
