"""A queue of keys to look at, after the work queue of Kubernetes' client-go.

It holds that something is to be looked at, never why: however often a key is added, it is looked
at once, and once more if it was added while it was being looked at.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class Backoff(NamedTuple):
    """Exponential delays in seconds: about `first`, then twice as long each time, up to `most`."""

    first: float = 0.5
    most: float = 300.0

    def delay(self, failures: int, jitter: float) -> float:
        """The delay after that many failures in a row; `jitter` from 0 to 1 spreads it over the
        upper half, so that what failed together does not come back together."""
        whole = min(self.most, self.first * 2.0 ** min(failures - 1, 64))
        return whole * (0.5 + jitter / 2)


class _Place(NamedTuple):
    """A place in line."""

    number: int
    behind: int
    """Of two with the same number the later one is less far behind, and goes first."""


class WorkQueue(Generic[K]):
    """For one event loop. Delays are on the loop's clock, which no one sets back."""

    def __init__(
        self,
        backoff: Backoff = Backoff(),  # noqa: B008 - a constant value
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._backoff = backoff
        self._jitter = jitter
        self._ready: asyncio.PriorityQueue[tuple[_Place, K]] = asyncio.PriorityQueue()
        self._added = 0
        self._wanted: dict[K, _Place] = {}  # added, and not handed out since
        self._handled: set[K] = set()  # handed out, and not done
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._failures: Counter[K] = Counter()

    def __len__(self) -> int:
        """How many keys wait to be handed out now."""
        return len(self._wanted.keys() - self._handled)

    @property
    def delayed(self) -> int:
        """How many keys wait for a time that has not come."""
        return len(self._later)

    def add(self, key: K, behind: int = 0) -> None:
        """Look at `key` as soon as somebody is free; once, if it waits already.

        So many keys that are added later go before it, and no more, so that it has its turn.
        """
        place = self._place(behind)
        if key in self._wanted and self._wanted[key] <= place:
            return
        self._wanted[key] = place
        if key not in self._handled:
            self._ready.put_nowait((place, key))

    def add_after(self, key: K, delay: float) -> None:
        """Look at `key` in `delay` seconds; of several delays the earliest holds."""
        if delay <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + delay
        waiting = self._later.get(key)
        if waiting is not None:
            if waiting.when() <= at:
                return
            waiting.cancel()
        self._later[key] = loop.call_at(at, self._due, key)

    def add_failed(self, key: K, at_least: float = 0.0) -> float:
        """Look at `key` again after a delay that grows with each failure until `forget`; the
        delay in seconds is returned."""
        self._failures[key] += 1
        delay = max(at_least, self._backoff.delay(self._failures[key], self._jitter()))
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """`key` went well: its next failure counts as the first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The key that is first in line. Nobody else gets it until `done`."""
        while True:
            place, key = await self._ready.get()
            # One that was added again at a better place is in line twice.
            if key not in self._handled and self._wanted.get(key) == place:
                del self._wanted[key]
                self._handled.add(key)
                return key

    def done(self, key: K) -> None:
        """Hand `key` back after `get`; if it was added meanwhile, it waits again."""
        self._handled.remove(key)
        if key in self._wanted:
            self._wanted[key] = place = self._place()
            self._ready.put_nowait((place, key))

    def close(self) -> None:
        """Drop all delays, so that nothing is added any more by itself."""
        for waiting in self._later.values():
            waiting.cancel()
        self._later.clear()

    def _place(self, behind: int = 0) -> _Place:
        self._added += 1
        return _Place(self._added + behind, behind)

    def _due(self, key: K) -> None:
        del self._later[key]
        self.add(key)
