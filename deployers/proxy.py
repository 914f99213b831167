"""The data path of the router: what its connections share, and the split between the servers.

Callbacks on transports and not coroutines: a task per request would cost more than the proxying.
A request is read whole (so that it can be sent again where that is safe); an answer is passed
on as it comes. `deployers.callers` has the connections of callers, `deployers.calls` what becomes
of a request, and `deployers.upstream` the connections to servers.
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
"""Requests in flight that are told of at a time: the oldest, as they say most."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What callers may ask for, in bytes and seconds. Those of servers are in their `Bounds`."""

    callers: int = 4096
    """Connections of callers; one more is answered 503."""
    held_bytes: int = 2 * LARGEST
    """Of the bodies of all requests that are read or not answered yet; for more there is 503."""
    header_bytes: int = 65_536
    header_seconds: float = 10.0
    """From the first byte of a request to the end of its header."""
    body_seconds: float = 10.0
    """Without a byte of a body that is not whole."""
    body_rate: float = 65_536.0
    """Bytes a second that a body has to come with on the whole, beside `body_seconds`."""
    idle_seconds: float = 75.0
    """Without a byte from the caller between requests."""
    linger_seconds: float = 2.0
    """For which a caller that was refused may go on sending, so that it sees why."""


@dataclass(frozen=True, slots=True)
class Split:
    """Who gets which share of the traffic: replaced as a whole, so no request sees half of it."""

    stable: Upstream | None = None
    canary: Upstream | None = None
    weight: float = 0.0
    seed: int = 0

    @property
    def probability(self) -> float:
        """The canary's share in force."""
        if self.canary is None:
            return 0.0
        return 1.0 if self.stable is None else self.weight

    @property
    def largest_request(self) -> int:
        """What is read of a request's body before it is drawn who gets it."""
        stable = self.stable.bounds.largest_request if self.stable is not None else 0
        canary = self.canary.bounds.largest_request if self.canary is not None else 0
        return max(stable, canary) or LARGEST_REQUEST

    def server(self, arm: Arm) -> Upstream | None:
        return self.canary if arm is Arm.CANARY else self.stable


class Caller(Protocol):
    """A caller's connection, as the proxy and a call know it."""

    peer: bytes
    trusted: bool
    choked: bool
    """Whether it reads more slowly than it is written to."""
    gone: bool
    tasks: set[asyncio.Task[None]]

    def write(self, data: bytes) -> None:
        """Send a part of an answer, if the caller is still there."""

    def answered(self, *, keep_alive: bool) -> None:
        """The call is over; go on with the next that waits."""

    def cut(self) -> None:
        """The call is over, and only the end of the connection can say how."""

    def look(self, now: float) -> None:
        """End what takes too long."""

    def close(self) -> None:
        """Close the connection."""


class Pending(Protocol):
    """A request that was drawn and has no record yet."""

    def waits(self, now: float) -> Waiting:
        """How it stands; `now` is by the monotonic clock."""
        ...


class Proxy:
    """What all connections share."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.split = Split()
        self.trusted: Sequence[IPv4Network | IPv6Network] = ()
        self.ring = Ring()
        self.closing = False
        self.callers: set[Caller] = set()
        """Those that are connected, and those that went before their call was over."""
        self.drawn: dict[Pending, None] = {}
        """In the order they arrived in."""
        self.held = 0
        """Bytes of the bodies of requests that are read or not answered yet."""
        self.clock = Steady()
        self.loop = asyncio.get_running_loop()
        self.drained: Callable[[Upstream], None] = lambda _: None
        """Called whenever a server has no request in flight."""
        self._ids = itertools.count()
        self._prefix = secrets.token_hex(6)

    def request_id(self) -> bytes:
        return f"{self._prefix}-{next(self._ids):x}".encode()

    def trusts(self, peer: str) -> bool:
        """Whether a proxy of that address is believed what it forwards."""
        try:
            address = ip_address(peer)
        except ValueError:  # it went away before it could be asked who it is
            return False
        return any(address in network for network in self.trusted)

    def waiting(self) -> list[Waiting]:
        """The oldest of the requests that have no record yet, oldest first."""
        now = time.monotonic()
        return [call.waits(now) for call in itertools.islice(self.drawn, _MOST_WAITING)]

    def hold(self, request: http1.Request, data: bytes) -> bool:
        """Add to the body of a request; False if there is no room for it."""
        if self.held + len(data) > self.limits.held_bytes:
            return False
        self.held += len(data)
        request.body += data
        return True

    def release(self, request: http1.Request) -> None:
        """Forget the body of a request."""
        self.held -= len(request.body)
        request.body = bytearray()

    def sweep(self) -> None:
        """End what takes callers too long."""
        now = time.monotonic()
        for caller in list(self.callers):
            caller.look(now)
