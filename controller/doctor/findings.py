"""What a look at the set-up finds."""

from typing import Literal

from controller.machine.core import Value


class Finding(Value):
    """One thing that was looked at."""

    what: str
    state: Literal["ok", "warning", "error"]
    message: str
    mend: str = ""


def ok(what: str, message: str) -> Finding:
    """It is as it should be."""
    return Finding(what=what, state="ok", message=message)


def bad(what: str, message: str, mend: str) -> Finding:
    """It keeps the controller from its work."""
    return Finding(what=what, state="error", message=message, mend=mend)


def warn(what: str, message: str, mend: str) -> Finding:
    """The controller works, but not as somebody will have meant."""
    return Finding(what=what, state="warning", message=message, mend=mend)
