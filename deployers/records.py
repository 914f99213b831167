"""The router's records of its latest requests: bounded in memory and cheap to append to."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from specs.traffic import Arm

PAGE = 4096
"""Records per page."""


class RequestRecord(NamedTuple):
    """An `Exchange` without its number, which is its place in the ring."""

    at: float
    arm: Arm
    probability: float
    status: int
    latency: float
    unit: str | None
    size: int = 0
    content: str = ""


class Page(NamedTuple):
    """Records from `first` on."""

    first: int
    records: Sequence[RequestRecord]


class Ring:
    """The last `capacity` records, numbered from 0 in the order in which they were added."""

    def __init__(self, capacity: int = 65_536) -> None:
        self._slots: list[RequestRecord | None] = [None] * capacity
        self._capacity = capacity
        self._count = 0
        self.answers: Counter[tuple[Arm, int]] = Counter()
        """How many requests each arm answered with each status, since the router started."""

    def add(self, record: RequestRecord) -> None:
        """Append a record; drops the oldest one if the ring is full."""
        self._slots[self._count % self._capacity] = record
        self._count += 1
        self.answers[record.arm, record.status] += 1

    @property
    def count(self) -> int:
        """How many records were ever added: the number of the next one."""
        return self._count

    def page(self, start: int, size: int = PAGE) -> Page:
        """Up to `size` records from number `start` on, or from the oldest one left."""
        first = max(start, self._count - self._capacity, 0)
        last = min(first + size, self._count)
        chosen = (self._slots[number % self._capacity] for number in range(first, last))
        return Page(first, [record for record in chosen if record is not None])
