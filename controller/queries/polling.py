"""Asks databases for the versions of queries: in threads, in bounded time, and not too often."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from controller.queries.sessions import open_session
from controller.queries.versions import version_of
from specs.datasets import Query
from specs.digests import digest
from specs.failures import Failure

TIMEOUT = 10.0
"""Seconds that a version's statement may take."""
REUSE_FACTOR = 20.0
"""An answer is reused for so many times as long as it took."""
MIN_REUSE = 2.0
"""Seconds for which it is reused at least."""
RETRY = 15.0
"""Seconds until a database that failed is asked again."""


class _Answer(NamedTuple):
    answer: str | Failure
    at: float
    """When it was asked, in seconds since the epoch."""
    until: float
    """Until when it is reused, by `time.monotonic`."""


class QueryVersions:
    """The versions of queries. `reveal` returns the value of a secret or raises `NeedsHuman`. An
    answer is reused for a while, at most `longest` seconds."""

    def __init__(
        self,
        reveal: Callable[[str], str],
        *,
        longest: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reveal = reveal
        self._longest = longest
        self._clock = clock
        self._answers: dict[tuple[str, str | None], _Answer] = {}
        self._locks: dict[tuple[str, str | None], asyncio.Lock] = {}

    def forget(self) -> None:
        """Discard the answers, so that databases are asked again."""
        self._answers.clear()

    async def now(self, query: Query) -> tuple[str, float]:
        """The current version of the query's rows, or a recent one, and when it was asked for.

        Raises `NeedsHuman`, and `TryAgain` for an unreachable database.
        """
        asked = query.url, query.version
        async with self._locks.setdefault(asked, asyncio.Lock()):
            cached = self._answers.get(asked)
            if cached is None or time.monotonic() >= cached.until:
                cached = await self._ask(query)
                self._answers[asked] = cached
        if isinstance(cached.answer, Failure):
            raise cached.answer
        return cached.answer, cached.at

    async def _ask(self, query: Query) -> _Answer:
        at, begun = self._clock(), time.monotonic()
        try:
            answer: str | Failure = await asyncio.to_thread(self._version, query)
        except Failure as failure:
            return _Answer(failure, at, time.monotonic() + min(RETRY, self._longest))
        took = time.monotonic() - begun
        reusable = min(max(REUSE_FACTOR * took, MIN_REUSE), self._longest)
        return _Answer(answer, at, time.monotonic() + reusable)

    def _version(self, query: Query) -> str:
        assert query.version is not None, "the caller has checked"
        with open_session(self._reveal(query.secret), TIMEOUT) as session:
            return digest(version_of(session, query.version))
