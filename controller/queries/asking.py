"""Asks databases what version their rows have: in threads, in bounded time, and not too often."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from controller.queries.database import reading
from controller.queries.versions import version_of
from specs.datasets import Query
from specs.digests import digest
from specs.failures import Failure

WITHIN = 10.0
"""Seconds that a version's statement may take."""
KEPT_FOR = 20.0
"""An answer stands for so many times as long as it took."""
AT_LEAST = 2.0
"""Seconds for which it stands at least."""
AWAY = 15.0
"""Seconds for which a database that failed is left alone."""


class _Kept(NamedTuple):
    answer: str | Failure
    at: float
    """Seconds since the epoch, when it was asked."""
    until: float
    """By `time.monotonic`."""


class QueryVersions:
    """The versions of queries. `reveal` gives the value of a secret, or raises NeedsHuman; an
    answer stands for a while, at most `longest` seconds."""

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
        self._kept: dict[tuple[str, str | None], _Kept] = {}
        self._turns: dict[tuple[str, str | None], asyncio.Lock] = {}

    def forget(self) -> None:
        """Ask anew: somebody wants to know."""
        self._kept.clear()

    async def now(self, query: Query) -> tuple[str, float]:
        """The version that the rows have now, or had a moment ago, and when it was asked for.

        Raises NeedsHuman, and TryAgain for a database that is away.
        """
        asked = query.url, query.version
        async with self._turns.setdefault(asked, asyncio.Lock()):
            kept = self._kept.get(asked)
            if kept is None or time.monotonic() >= kept.until:
                kept = await self._ask(query)
                self._kept[asked] = kept
        if isinstance(kept.answer, Failure):
            raise kept.answer
        return kept.answer, kept.at

    async def _ask(self, query: Query) -> _Kept:
        at, begun = self._clock(), time.monotonic()
        try:
            answer: str | Failure = await asyncio.to_thread(self._version, query)
        except Failure as failure:
            return _Kept(failure, at, time.monotonic() + min(AWAY, self._longest))
        took = time.monotonic() - begun
        stands = min(max(KEPT_FOR * took, AT_LEAST), self._longest)
        return _Kept(answer, at, time.monotonic() + stands)

    def _version(self, query: Query) -> str:
        assert query.version is not None, "the caller has looked"
        with reading(self._reveal(query.secret), WITHIN) as connection:
            return digest(version_of(connection, query.version))
