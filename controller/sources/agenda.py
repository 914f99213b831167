"""When each of many things is due."""

import heapq
import math
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Things with the time at which each is due, by one clock."""

    def __init__(self) -> None:
        self._times: dict[T, float] = {}
        self._order: list[tuple[float, int, T]] = []
        self._numbers = count()

    @property
    def next(self) -> float:
        """When the first is due; infinity if there is none."""
        while self._order and self._times.get(self._order[0][2]) != self._order[0][0]:
            heapq.heappop(self._order)  # its time was changed
        return self._order[0][0] if self._order else math.inf

    def add(self, thing: T, at: float) -> None:
        """Have a thing due at a time, or earlier if it is already."""
        if at < self._times.get(thing, math.inf):
            self._times[thing] = at
            heapq.heappush(self._order, (at, next(self._numbers), thing))

    def remove(self, thing: T) -> None:
        """Have it due no more."""
        self._times.pop(thing, None)

    def due(self, now: float) -> list[T]:
        """The things that are due, which are removed."""
        found = []
        while self.next <= now:
            _, _, thing = heapq.heappop(self._order)
            del self._times[thing]
            found.append(thing)
        return found
