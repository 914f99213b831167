"""The data path of the router: the state its connections share, and the traffic split.

It uses callbacks on transports rather than coroutines, as a task per request would cost more than
the proxying. A request is read completely (so that it can be repeated where that is safe); a
response is passed on as it arrives. `deployers.callers` has the connections from callers,
`deployers.calls` the life of a request, and `deployers.upstream` the connections to servers.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

from deployers import http1
from deployers.clock import Steady
from deployers.records import Ring
from deployers.upstream import Upstream
from specs.release import LARGEST, LARGEST_REQUEST
from specs.traffic import Arm, Waiting

_MOST_WAITING = 4096
"""Requests in flight that are reported at a time: the oldest, as they are the most telling."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for callers, in bytes and seconds. Those for servers are in their `Bounds`."""

    callers: int = 4096
    """Connections from callers; any more are answered with 503."""
    held_bytes: int = 2 * LARGEST
    """Total size of the bodies of unanswered requests; beyond it requests get 503."""
    header_bytes: int = 65_536
    header_seconds: float = 10.0
    """From the first byte of a request to the end of its header."""
    body_seconds: float = 10.0
    """Between two bytes of an incomplete body."""
    body_rate: float = 65_536.0
    """Minimum average rate of a body in bytes per second, after the first `body_seconds`."""
    idle_seconds: float = 75.0
    """Without a byte from the caller between requests."""
    linger_seconds: float = 2.0
    """How long a refused caller may go on sending, so that it receives the reason."""


@dataclass(frozen=True, slots=True)
class Split:
    """Which server gets which share of the traffic. Replaced as a whole, so that every request sees
    a consistent split."""

    stable: Upstream | None = None
    canary: Upstream | None = None
    weight: float = 0.0
    seed: int = 0

    @property
    def probability(self) -> float:
        """The canary's share in effect."""
        if self.canary is None:
            return 0.0
        return 1.0 if self.stable is None else self.weight

    @property
    def largest_request(self) -> int:
        """Bytes of a request body that are read before an arm is drawn."""
        stable = self.stable.bounds.largest_request if self.stable is not None else 0
        canary = self.canary.bounds.largest_request if self.canary is not None else 0
        return max(stable, canary) or LARGEST_REQUEST

    def server(self, arm: Arm) -> Upstream | None:
        """The server of an arm."""
        return self.canary if arm is Arm.CANARY else self.stable


class Caller(Protocol):
    """A caller's connection, as seen by the proxy and by a call."""

    peer: bytes
    trusted: bool
    choked: bool
    """Whether it reads more slowly than the response is written."""
    gone: bool
    """Whether it disconnected."""
    tasks: set[asyncio.Task[None]]

    def write(self, data: bytes) -> None:
        """Send a part of a response, if the caller is still connected."""

    def answered(self, *, keep_alive: bool) -> None:
        """The call is over; begin the next one in the queue."""

    def cut(self) -> None:
        """The call failed midway: close the connection, since no status can be sent any more."""

    def look(self, now: float) -> None:
        """Enforce the time limits."""

    def close(self) -> None:
        """Close the connection."""


class Pending(Protocol):
    """A request that was assigned to an arm and has no record yet."""

    def waits(self, now: float) -> Waiting:
        """Its state while it waits; `now` is monotonic time."""
        ...


class Proxy:
    """The state that all connections share."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.split = Split()
        self.trusted: Sequence[IPv4Network | IPv6Network] = ()
        self.ring = Ring()
        self.closing = False
        self.callers: set[Caller] = set()
        """Those that are connected, and those that disconnected during their call."""
        self.drawn: dict[Pending, None] = {}
        """In order of arrival."""
        self.held = 0
        """Total size of the bodies of unanswered requests."""
        self.clock = Steady()
        self.loop = asyncio.get_running_loop()
        self.drained: Callable[[Upstream], None] = lambda _: None
        """Called whenever a server has no more requests in flight."""
        self._ids = itertools.count()
        self._prefix = secrets.token_hex(6)

    def request_id(self) -> bytes:
        """A new id for a request without one."""
        return f"{self._prefix}-{next(self._ids):x}".encode()

    def trusts(self, peer: str) -> bool:
        """Whether the forwarding headers of a proxy at that address are trusted."""
        try:
            address = ip_address(peer)
        except ValueError:  # it disconnected before its address could be read
            return False
        return any(address in network for network in self.trusted)

    def waiting(self) -> list[Waiting]:
        """The oldest requests without a record, oldest first."""
        now = time.monotonic()
        return [call.waits(now) for call in itertools.islice(self.drawn, _MOST_WAITING)]

    def hold(self, request: http1.HttpRequest, data: bytes) -> bool:
        """Add to the body of a request; False if there is no room for it."""
        if self.held + len(data) > self.limits.held_bytes:
            return False
        self.held += len(data)
        request.body += data
        return True

    def release(self, request: http1.HttpRequest) -> None:
        """Forget the body of a request."""
        self.held -= len(request.body)
        request.body = bytearray()

    def sweep(self) -> None:
        """Enforce the time limits of all callers."""
        now = time.monotonic()
        for caller in list(self.callers):
            caller.look(now)
