"""Attempts that have ended and whose outputs are stored, for what their folders still hold."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from controller.machine.runs.attempt import Attempt

MARKS = 1000
"""Attempts whose marks are kept until they are collected; what an older one left is not taken."""

Marks = Mapping[str, bytes]
"""What of an attempt's folder is to be taken, by name, with a digest that no longer holds once the
attempt has changed anything of it: a name, content, time, permission or attribute."""


class Leftover(NamedTuple):
    """What an ended attempt left in its folder."""

    folder: Path
    marks: Marks


class _Likeness(NamedTuple):
    """What two attempts have in common of which one may have what the other left."""

    pipeline: str
    trusted: bool
    repository: str
    commit: str
    branch: str


class Leftovers:
    """Names an attempt to one that takes what it left, or to whoever deletes it. May be used by
    several threads."""

    def __init__(self) -> None:
        self._marks: OrderedDict[str, Marks] = OrderedDict()
        self._left: dict[str, tuple[_Likeness, Marks]] = {}
        self._lock = threading.Lock()

    def begins(self, attempt: Attempt, marks: Marks) -> None:
        """It is about to begin, and has changed nothing yet."""
        with self._lock:
            self._marks[attempt.id] = marks
            while len(self._marks) > MARKS:
                self._marks.popitem(last=False)

    def add(self, attempt: Attempt) -> None:
        """It has ended, and nothing but its outputs was needed. Of an attempt that is added again,
        or began under another controller, nothing is taken."""
        with self._lock:
            self._left[attempt.id] = _likeness(attempt), self._marks.pop(attempt.id, {})

    def take(self, attempt: Attempt) -> tuple[str, Marks] | None:
        """One of the same user, commit and branch as an attempt that begins; None without any."""
        wanted = _likeness(attempt)
        with self._lock:
            for name, (like, marks) in self._left.items():
                if like == wanted and marks:
                    del self._left[name]
                    return name, marks
        return None

    def take_all(self) -> list[str]:
        """All that nobody took."""
        with self._lock:
            found = [*self._left]
            self._left.clear()
        return found


def pipeline_of(attempt: Attempt) -> str:
    """The pipeline whose processes have a user of their own."""
    return attempt.run.rpartition("-")[0]


def _likeness(attempt: Attempt) -> _Likeness:
    return _Likeness(
        pipeline_of(attempt),
        attempt.trusted,
        attempt.repository,
        attempt.commit,
        attempt.branch,
    )
