"""What goes wrong between a client and the server, when a test says so; and what was called."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.doubles.kubernetes.api.calls import ApiCall

CallTest = Callable[[ApiCall], bool]


def is_exempt(call: ApiCall) -> bool:
    """Whether the priority level of the call has seats of its own, as that of leases has."""
    return call.kind.name == "Lease"


class ApiFaults:
    """Faults in force. Each is set by a test and stays until it is unset or used up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.away = False
        """Whether connections are closed without an answer."""
        self.fails: CallTest | None = None
        """Calls that get a status of 500."""
        self.delay = 0.0
        """Real seconds that each call is held."""
        self.cut_watch_after = 0
        """Events after which a watch's connection is cut, in the midst of a line; 0 for never."""
        self._throttled: list[tuple[int, CallTest]] = []
        self._retry_after = 1
        self._conflicts: list[tuple[int, CallTest]] = []
        self._lost: list[tuple[int, CallTest]] = []

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """The server is away meanwhile."""
        self.away = True
        try:
            yield
        finally:
            self.away = False

    @contextmanager
    def failing(self, test: CallTest = lambda _: True) -> Iterator[None]:
        """Calls that fit get a status of 500 meanwhile, as while etcd has no leader."""
        self.fails = test
        try:
            yield
        finally:
            self.fails = None

    def throttle(
        self, calls: int, retry_after: int = 1, test: CallTest = lambda call: not is_exempt(call)
    ) -> None:
        """Answer the next calls that fit with 429 and that Retry-After; unless told otherwise,
        those whose priority is high are served all the same."""
        with self._lock:
            self._throttled.append((calls, test))
            self._retry_after = retry_after

    def conflict(self, times: int, test: CallTest = lambda _: True) -> None:
        """Answer the next updates and patches that fit with 409, as if somebody had been faster."""
        with self._lock:
            self._conflicts.append((times, test))

    def lose_answers(self, times: int, test: CallTest = lambda _: True) -> None:
        """Carry out the next calls that fit, and close the connection without an answer."""
        with self._lock:
            self._lost.append((times, test))

    def throttled(self, call: ApiCall) -> int:
        """Seconds that the client must wait; 0 if it is served."""
        return self._retry_after if self._use(self._throttled, call) else 0

    def conflicts(self, call: ApiCall) -> bool:
        return call.verb in ("update", "patch") and self._use(self._conflicts, call)

    def loses(self, call: ApiCall) -> bool:
        return self._use(self._lost, call)

    def _use(self, faults: list[tuple[int, CallTest]], call: ApiCall) -> bool:
        with self._lock:
            for index, (left, test) in enumerate(faults):
                if left and test(call):
                    faults[index] = (left - 1, test)
                    return True
            return False


class CallCount:
    """How often what was called over HTTP, by verb and resource: `("list", "jobs")`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[tuple[str, str]] = Counter()
        self._open: Counter[str] = Counter()

    def add(self, call: ApiCall) -> None:
        with self._lock:
            self._made[call.verb, call.what] += 1

    def opened(self, resource: str, by: int) -> None:
        """Count a watch that began (1) or ended (-1)."""
        with self._lock:
            self._open[resource] += by

    def made(self, verb: str | None = None, resource: str | None = None) -> int:
        with self._lock:
            return sum(
                count
                for (one, what), count in self._made.items()
                if verb in (None, one) and resource in (None, what)
            )

    def by_call(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._made)

    def watches(self, resource: str | None = None) -> int:
        """How many watches are open now."""
        with self._lock:
            if resource is not None:
                return self._open[resource]
            return sum(self._open.values())

    def reset(self) -> None:
        with self._lock:
            self._made.clear()
