"""A clock whose differences are true durations, even if the machine's clock is set meanwhile.

People and NTP set the wall clock: if it is stepped by two hours, a deadline measured by it comes
two hours early or late. Times that are stored or shown must follow it nevertheless.
"""

import time
from collections.abc import Callable

SLEW = 0.05
"""The largest relative deviation from true speed while catching up with a stepped wall clock."""
NEVER_SET = 365 * 86_400.0
"""Seconds; a wall clock that is stepped forward by more than this was never set before."""


def since_boot() -> float:
    """Seconds since boot, including time asleep; cannot be set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Steady:
    """Seconds since the epoch, starting at the wall clock's time or at `start`, if that is later.

    It never goes back, and runs at true speed give or take `SLEW`: it catches up with a stepped
    wall clock within twenty times the step.
    """

    def __init__(
        self,
        start: float = 0.0,
        wall: Callable[[], float] = time.time,
        passed: Callable[[], float] = since_boot,
    ) -> None:
        self._wall, self._passed = wall, passed
        self._at, self._now = passed(), max(start, wall())

    def __call__(self) -> float:
        """The time now."""
        at = self._passed()
        passed, self._at = at - self._at, at
        ahead = self._wall() - (self._now + passed)
        if ahead > NEVER_SET:
            self._now += passed + ahead
        else:
            self._now += passed + min(max(ahead, -SLEW * passed), SLEW * passed)
        return self._now
