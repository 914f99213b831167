"""The records of requests that the traffic router writes and the canary judge reads."""

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NO_ANSWER = 0
"""The status of a request without an answer: refused, cut off, or timed out."""


class Arm(StrEnum):
    """Which server answered: the one in production, or the candidate."""

    STABLE = "stable"
    CANARY = "canary"


Split = Literal["draw", "turns", "units"]
"""How requests are assigned to arms: each by a random draw, in turn, or by user or session."""


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


_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(allow_inf_nan=False)]


class _Counted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LatencyBucket(_Counted):
    """Answers by their latency: those above the bucket before, up to `up_to`."""

    up_to: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    """Seconds; None for the last bucket, which is open."""
    count: _Count


class ArmWindow(_Counted):
    """What one arm answered in a window of time."""

    requests: _Count = 0
    errors: _Count = 0
    """Those that failed, or had no answer."""
    latencies: tuple[LatencyBucket, ...] = ()
    """Of requests that did not fail, in ascending order; empty if not known."""
    timed: _Count | None = None
    """How many requests the latencies are of, where they are not known to be of those that did not
    fail: gateways may add them later, and those of failures too, in both arms alike."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.errors > self.requests:
            raise ValueError(f"errors ({self.errors}) exceed requests ({self.requests})")
        edges = [bucket.up_to for bucket in self.latencies]
        bounds = [edge for edge in edges[:-1] if edge is not None]
        if edges and (len(bounds) < len(edges) - 1 or edges[-1] is not None):
            raise ValueError("the last bucket of latencies, and no other, has `up_to: null`")
        if bounds != sorted(set(bounds)):
            raise ValueError("the buckets of latencies do not ascend")
        found = sum(bucket.count for bucket in self.latencies)
        if self.timed is None and found > self.answered:
            why = f"latencies has more than the {self.answered} requests that did not fail"
            raise ValueError(why)
        if self.timed is not None and found != self.timed:
            raise ValueError(f"latencies has {found} requests, not `timed`, {self.timed}")
        return self

    @property
    def answered(self) -> int:
        """How many requests did not fail."""
        return self.requests - self.errors


class TrafficWindow(_Counted):
    """Counts of both arms in a window of time in which one weight was in force throughout."""

    seq: _Count
    """Increases by at least one with each window; a window that is given twice counts once."""
    start: _Seconds
    end: _Seconds
    """Both in seconds since the epoch."""
    weight: Annotated[float, Field(ge=0, le=1)]
    """The canary's share of the traffic."""
    stable: ArmWindow = ArmWindow()
    canary: ArmWindow = ArmWindow()

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if not self.start < self.end:
            raise ValueError("start is not before end")
        edges = [[bucket.up_to for bucket in arm.latencies] for arm in (self.stable, self.canary)]
        if all(edges) and edges[0] != edges[1]:
            raise ValueError("the latencies of stable and canary have different buckets")
        return self
