"""What the traffic router records of each request, and what the canary judge reads."""

from enum import StrEnum
from typing import NamedTuple

NO_ANSWER = 0
"""The status of a request that got no answer: refused, cut off, or past its time limit."""


class Arm(StrEnum):
    """Which server answered: the one in production, or the one that wants to be."""

    STABLE = "stable"
    CANARY = "canary"


class Exchange(NamedTuple):
    """One request through the router, with the draw that assigned it.

    `probability` is the canary's share in force at the draw; the judge bets on the arm given it,
    so it must be what the draw used and not what a later weight says.
    """

    seq: int
    """Grows by one with each record of a router; a gap means records were dropped."""
    at: float
    """When the request arrived, in seconds since the epoch."""
    arm: Arm
    probability: float
    status: int
    """The HTTP status, or `NO_ANSWER`."""
    latency: float
    """Seconds from arrival to the last byte, or the age at which waiting ended."""
    unit: str | None = None
    """What the draw was made for (a session, a user); None when each request is its own."""
    size: int = 0
    """Bytes of the answer's body, as the server sent it."""
    content: str = ""
    """The media type of the answer, in lower case and without parameters; empty without one."""


class Waiting(NamedTuple):
    """One request that has no whole answer yet; it becomes an `Exchange` when it ends."""

    arm: Arm
    probability: float
    age: float
    """Seconds since it arrived: its latency will be at least that."""
    unit: str | None = None
