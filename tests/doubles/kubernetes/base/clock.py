"""The cluster's time, which a test may hasten."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class ClusterClock:
    """Time that runs as the machine's does, `speed` times as fast, and jumps when told to."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._began = time.monotonic()
        self._epoch = datetime.now(UTC).timestamp()
        self._jumped = 0.0
        self.listeners: list[Callable[[], None]] = []
        """Called when the time has jumped."""

    def seconds(self) -> float:
        """Seconds since the epoch."""
        return self._epoch + self._jumped + (time.monotonic() - self._began) * self._speed

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def stamp(self, seconds: float | None = None) -> str:
        """A time as the API writes it, in whole seconds; now, if none is given."""
        return as_stamp(self.seconds() if seconds is None else seconds)

    def real(self, seconds: float) -> float:
        """How long that takes on the machine's clock."""
        return seconds / self._speed

    def advance(self, by: float | timedelta) -> None:
        """Let seconds pass at once."""
        self._jumped += by.total_seconds() if isinstance(by, timedelta) else by
        for listener in self.listeners:
            listener()


def as_stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_stamp(text: str) -> float:
    """Seconds since the epoch of a time that the API wrote or was given."""
    return datetime.fromisoformat(text).timestamp()
