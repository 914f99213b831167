"""The records of requests that the traffic router writes and the canary judge reads."""

from enum import StrEnum
from typing import NamedTuple

NO_ANSWER = 0
"""The status of a request without an answer: refused, cut off, or timed out."""


class Arm(StrEnum):
    """Which server answered: the one in production, or the candidate."""

    STABLE = "stable"
    CANARY = "canary"


class Exchange(NamedTuple):
    """One request through the router, and the random draw that assigned it to an arm.

    `probability` is the canary's share at the time of the draw. The judge's bets depend on it, so
    it must be the share that the draw used, even if the weight has changed since.
    """

    seq: int
    """Increases by one with each record of a router; a gap means that records were dropped."""
    at: float
    """When the request arrived, in seconds since the epoch."""
    arm: Arm
    probability: float
    status: int
    """The HTTP status, or `NO_ANSWER`."""
    latency: float
    """Seconds from arrival to the last byte, or until the router stopped waiting."""
    unit: str | None = None
    """What the draw was made for (a session, a user); None if each request is drawn separately."""
    size: int = 0
    """Bytes of the response body, as the server sent it."""
    content: str = ""
    """The media type of the response: lower case, no parameters, empty if there is none."""


class Waiting(NamedTuple):
    """One request without a complete answer so far; it becomes an `Exchange` when it ends."""

    arm: Arm
    probability: float
    age: float
    """Seconds since it arrived; its latency will be at least this."""
    unit: str | None = None
