"""The simulated clock: it leaps to what is due next."""

import asyncio

from tests.controller.reconcile.virtual_time import VirtualLoop

EPOCH = 1_780_000_000.0
"""When every simulation begins, in seconds since the epoch."""
READING = 1e-5
"""Seconds that it takes to read the clock. As with a real one, who looks again and again sees it
move: otherwise whoever waits until a moment is over would wait for ever, once it is that moment."""


class SimulatedLoop(VirtualLoop):
    """An event loop on the simulated clock."""

    def read(self) -> float:
        """The time in seconds since the epoch."""
        self._leap.now += READING
        return EPOCH + self.time()


def now() -> float:
    """The simulated time in seconds since the epoch."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop.read()
