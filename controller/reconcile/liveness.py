"""Whether the loop makes progress."""

import time

from controller.reconcile.loop import Loop
from specs.figures import duration

IDLE = 60.0
"""Seconds without a look for messages, which comes several times a second, after which the loop is
stuck: the event loop is blocked, or the store answers nothing at all."""
BUSY = 300.0
"""Seconds in which no turn ends, although keys wait: every observation and every action ends within
a minute, so all workers are stuck."""


def stuck(loop: Loop, now: float | None = None) -> str:
    """Why the loop makes no progress; empty if it does. `now` is of the monotonic clock."""
    now = time.monotonic() if now is None else now
    if not loop.begun:
        return ""  # reading a large state takes a while, and a restart would not make it shorter
    idle, busy = now - loop.ticked, now - loop.turned
    if idle > IDLE:
        return f"the loop has not looked for messages for {duration(idle)}"
    waiting = loop.depth["ready"]
    if busy > BUSY and waiting:
        return f"no turn has ended for {duration(busy)} (waiting keys: {waiting})"
    return ""
