"""Attempts that have ended and whose outputs are stored, for what their folders still hold."""

import threading
from typing import NamedTuple

from controller.machine.runs.attempt import Attempt


class _Likeness(NamedTuple):
    """What two attempts have in common of which one may have what the other left."""

    pipeline: str
    trusted: bool
    repository: str
    commit: str
    branch: str


class Leftovers:
    """Names each attempt once: to an attempt that takes what it left, or to whoever deletes it. May
    be used by several threads."""

    def __init__(self) -> None:
        self._left: dict[str, _Likeness] = {}
        self._lock = threading.Lock()

    def add(self, attempt: Attempt) -> None:
        """It has ended, and nothing but its outputs was needed."""
        with self._lock:
            self._left[attempt.id] = _likeness(attempt)

    def take(self, attempt: Attempt) -> str | None:
        """One of the same user, commit and branch as an attempt that begins; None without any."""
        wanted = _likeness(attempt)
        with self._lock:
            found = next((name for name, like in self._left.items() if like == wanted), None)
            if found is not None:
                del self._left[found]
        return found

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
