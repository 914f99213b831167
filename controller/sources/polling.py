"""Polls a remote repository: its branches, or its open pull requests."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from controller.machine.core import Key
from specs.failures import Failure

MAX_WAIT = 600.0
"""Seconds between tries while a remote fails, at most (or its interval, if that is longer)."""

log = structlog.get_logger()


class Polling:
    """Hints at `Key("repository", name)` when the result of `look` has changed, such as branches,
    pull requests or comments.

    Polls every `interval` seconds, plus or minus 20 % so that repositories are not all polled at
    the same time. After each failure, the interval doubles.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[object]],
        interval: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._key = Key("repository", name)
        self._look = look
        self._interval = interval
        self._sleep = sleep
        self._jitter = jitter
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the last poll failed; None if it did not."""
        return self._problem

    async def keys(self) -> AsyncIterator[Key]:
        """The repository's key: after the first poll, after changes, and when polling begins to
        fail or to work again."""
        known: object = None
        failures = 0
        while True:
            try:
                seen = await self._look()
            except Failure as error:
                failures += 1
                fresh = self._problem is None
                self._say(str(error))
                if fresh:
                    known = None
                    yield self._key  # its reconcile fails in the same way, and reports that
            else:
                failures = 0
                self._say(None)
                if seen != known:
                    known = seen
                    yield self._key
            await self._sleep(self._wait(failures) * (0.8 + 0.4 * self._jitter()))

    def _wait(self, failures: int) -> float:
        longest = max(MAX_WAIT, self._interval)
        return float(min(self._interval * 2 ** min(failures, 30), longest))

    def _say(self, problem: str | None) -> None:
        """Log when polling begins to fail or to work again, not every poll."""
        if problem != self._problem:
            if problem:
                log.warning("repository cannot be polled", key=str(self._key), problem=problem)
            else:
                log.info("repository can be polled again", key=str(self._key))
        self._problem = problem
