"""Polls a remote repository: its branches, or what is open beside them."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from controller.machine.core import Key
from specs.failures import Failure

LONGEST_WAIT = 600.0
"""Seconds between two tries at a remote that fails, at most (more only if polled more rarely)."""

log = structlog.get_logger()


class Polling:
    """Hints at `Key("repository", name)` when what `look` sees has changed: branches that moved,
    pull requests and comments.

    Polls every `interval` seconds, give or take a fifth so that many repositories do not come at
    once; a remote that fails is left alone for twice as long each time.
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
        """What the last poll failed with."""
        return self._problem

    async def keys(self) -> AsyncIterator[Key]:
        """The repository's key, once reached at first, and whenever something has changed, or
        begins to fail or to be reached again."""
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
                    yield self._key  # its own look fails as this did, and is what people hear of
            else:
                failures = 0
                self._say(None)
                if seen != known:
                    known = seen
                    yield self._key
            await self._sleep(self._wait(failures) * (0.8 + 0.4 * self._jitter()))

    def _wait(self, failures: int) -> float:
        longest = max(LONGEST_WAIT, self._interval)
        return float(min(self._interval * 2 ** min(failures, 30), longest))

    def _say(self, problem: str | None) -> None:
        """Log a change for the worse or the better, not every poll."""
        if problem != self._problem:
            if problem:
                log.warning("repository cannot be polled", key=str(self._key), problem=problem)
            else:
                log.info("repository can be polled again", key=str(self._key))
        self._problem = problem
