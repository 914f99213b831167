"""Runs the controllers: one thread that looks at what changed, and at what is due."""

import heapq
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from tests.doubles.kubernetes.base.clock import ClusterClock
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.storage.store import EtcdStore, ObjectChange

_TRY_AGAIN = (403, 404, 409)
"""What a controller may be refused because the world changes beside it."""
_LATER = 5.0
"""Seconds after which it tries again."""

Key = tuple[str, str]
"""The namespace and name of an object, or whatever two words a controller looks by."""


class ClusterController(Protocol):
    """Brings the world of one kind of object to what the objects say."""

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        """What must be looked at after a change."""
        ...

    def sync(self, key: Key) -> float | None:
        """Look at it, and act; when to look again without a change, in the cluster's seconds."""
        ...


class Manager:
    """Calls each controller for what changed."""

    def __init__(
        self, store: EtcdStore, clock: ClusterClock, controllers: Sequence[ClusterController]
    ) -> None:
        self._store = store
        self._clock = clock
        self._controllers = list(controllers)
        self._changes: deque[ObjectChange] = deque()
        self._dirty: dict[tuple[ClusterController, Key], None] = {}
        self._timers: list[tuple[float, int, ClusterController, Key]] = []
        self._due: dict[tuple[ClusterController, Key], float] = {}
        self._count = 0
        self._busy = False
        self._ending = False
        self.paused = False
        """Whether they rest, as while the controller manager has no leader."""
        self.failures: list[str] = []
        store.listeners.append(self._changes.append)
        clock.listeners.append(self.wake)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending = True
        self.wake()
        self._thread.join()

    def wake(self) -> None:
        with self._store.written:
            self._store.written.notify_all()

    def look(self, controller: ClusterController, key: Key) -> None:
        """Have a controller look at something again, because a test changed its world."""
        with self._store.written:
            self._dirty[controller, key] = None
            self._store.written.notify_all()

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until nothing is left to be looked at now; TimeoutError if that takes longer."""
        until = time.monotonic() + seconds
        with self._store.written:
            while self._changes or self._dirty or self._busy or self._is_due():
                if self.failures:
                    raise RuntimeError(self.failures[0])
                if time.monotonic() > until:
                    raise TimeoutError("the controllers do not come to rest")
                self._store.written.wait(0.05)

    def _is_due(self) -> bool:
        return bool(self._timers) and self._timers[0][0] <= self._clock.seconds()

    def _run(self) -> None:
        while True:
            with self._store.written:
                work = self._next()
            if work is None:
                return
            for controller, key in work:
                try:
                    self._sync(controller, key)
                except Exception:
                    self.failures.append(traceback.format_exc())

    def _next(self) -> list[tuple[ClusterController, Key]] | None:
        """Wait for what must be looked at; None at the end."""
        self._busy = False
        self._store.written.notify_all()
        while not self._ending:
            self._collect()
            if self._dirty and not self.paused:
                work = list(self._dirty)
                self._dirty.clear()
                self._busy = True
                return work
            wait = 3600.0
            if self._timers and not self.paused:
                wait = self._clock.real(self._timers[0][0] - self._clock.seconds())
            self._store.written.wait(max(0.0, min(wait, 3600.0)))
        return None

    def _collect(self) -> None:
        while self._changes:
            change = self._changes.popleft()
            for controller in self._controllers:
                for key in controller.keys(change):
                    self._dirty[controller, key] = None
        while self._is_due():
            when, _, controller, key = heapq.heappop(self._timers)
            if self._due.get((controller, key)) == when:
                del self._due[controller, key]
                self._dirty[controller, key] = None

    def _sync(self, controller: ClusterController, key: Key) -> None:
        with self._store.lock:
            try:
                again = controller.sync(key)
            except StatusError as error:
                if error.code not in _TRY_AGAIN:
                    raise
                again = self._clock.seconds() + _LATER
            if again is None:
                self._due.pop((controller, key), None)
            elif self._due.get((controller, key)) != again:
                self._count += 1
                self._due[controller, key] = again
                heapq.heappush(self._timers, (again, self._count, controller, key))
