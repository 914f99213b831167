"""An event loop whose time passes as soon as nothing is left to do at present."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Leap(selectors.SelectSelector):
    """Where a selector would wait, it moves the clock instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing will ever happen again"
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its `time()` starts at 0 and is exact."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        """Seconds that would have passed."""
        return self._leap.now


def virtually(story: Coroutine[Any, Any, T]) -> T:
    """Run `story`; its sleeps take no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)
