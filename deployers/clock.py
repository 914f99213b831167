"""A clock whose differences are durations, whatever is done to the machine's.

The wall clock is set by people and by NTP: a deadline that is measured by it comes two hours early,
or late, when it is stepped. Moments that are kept or shown have to be of it all the same.
"""

import time
from collections.abc import Callable

SLEW = 0.05
"""By how much a second may differ from a second until a step of the wall clock is made up for."""
NEVER_SET = 365 * 86_400.0
"""Seconds: a wall clock that is stepped forward by more had not been set before."""


def since_boot() -> float:
    """Seconds, the time in which the machine slept included; nobody can set them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Steady:
    """Seconds since the epoch, as the wall clock had them at the start, or `start`, if that is
    later.

    It never goes back, and a second of it is one, give or take `SLEW`: so it comes back to a wall
    clock that was stepped in as long as twenty times the step.
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
