"""The findings of `headgate doctor`."""

from typing import Literal

from controller.machine.core import Value

FindingState = Literal["ok", "warning", "error"]


class Finding(Value):
    """The result of one check."""

    what: str
    state: FindingState
    message: str
    fix: str = ""


def ok(what: str, message: str) -> Finding:
    """The check passed."""
    return Finding(what=what, state="ok", message=message)


def bad(what: str, message: str, fix: str) -> Finding:
    """The controller cannot work, or not fully, until this is fixed."""
    return Finding(what=what, state="error", message=message, fix=fix)


def warn(what: str, message: str, fix: str) -> Finding:
    """The controller works, but probably not as intended."""
    return Finding(what=what, state="warning", message=message, fix=fix)
