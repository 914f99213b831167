"""The forecast when a canary begins: whether its traffic can decide it before the deadline.

Computed from the traffic that the router remembers and the shares that the canary will get, for a
canary that is like stable. What is not known yet (latencies, if too few were seen) is left out, so
the real canary may need more than the forecast says, but not less.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil, inf, log
from typing import Final

from specs.figures import duration, rounded
from specs.release import OnInconclusive
from specs.traffic import Exchange
from validators.canary import signal_bets as families
from validators.canary.betting import least, log_mixture
from validators.canary.state import CanaryState
from validators.report import GateValue

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
_ENOUGH: Final = 30
"""Requests in the last hour that are enough to estimate the rate; with fewer, use the last day."""


class Outlook(GateValue):
    """The forecast for a canary. Requests are counted over both arms."""

    rate: float
    """Requests per second."""
    comes: float
    """Requests expected by the deadline."""
    reach: float
    """How many of those reach the canary."""
    needed: int | None
    """Requests needed to show that it is no worse; None if no number is enough."""
    takes: float | None
    """Seconds until it is decided; None if it never will be."""
    deadline: float
    """Seconds."""

    @property
    def decided(self) -> bool:
        """Whether it will be decided by its deadline."""
        return self.takes is not None and self.takes <= self.deadline


def pace(history: Sequence[Exchange], now: float) -> float:
    """Requests per second in the last hour, or if it had few, in the last day."""
    for window in (HOUR, DAY):
        since = now - window
        recent = [each.at for each in history if since <= each.at <= now]
        if recent and (len(recent) >= _ENOUGH or window == DAY):
            known = window if history[0].at < since else now - min(recent)
            return len(recent) / max(known, 1.0)
    return 0.0


def outlook(state: CanaryState, rate: float, shares: Sequence[float]) -> Outlook:
    """The forecast for a canary that begins with this state, at `rate` requests per second."""
    policy = state.policy
    bake, deadline = policy.minimum_bake / len(shares), policy.deadline
    if rate <= 0:
        return Outlook(rate=0, comes=0, reach=0, needed=None, takes=None, deadline=deadline)
    # Each share but the last lasts its part of the bake, and until the canary gets a request.
    times = [max(bake, 1 / (rate * share)) for share in shares[:-1]]
    counts = [rate * seconds for seconds in times]
    last = _needed(state, shares, counts)
    seconds, reach = deadline, 0.0
    for share, each in zip(shares, [*times, inf], strict=True):
        spent = min(each, seconds)
        reach, seconds = reach + rate * share * spent, seconds - spent
    takes = None
    if last is not None:
        takes = max(sum(times) + max(last / rate, bake, 1 / (rate * shares[-1])), bake)
    return Outlook(
        rate=rate,
        comes=rate * deadline,
        reach=reach,
        needed=None if last is None else ceil(sum(counts) + last),
        takes=takes,
        deadline=deadline,
    )


def warning(found: Outlook, began: float, undecided: OnInconclusive) -> str | None:
    """Why it will not be decided in time, what happens then, and the fix; None if it will be."""
    if found.decided:
        return None
    then = {"hold": "held", "rollback": "rolled back", "promote": "promoted without a decision"}
    becomes = then[undecided] if undecided != "promote" or found.reach >= 1 else "held"
    at = f"it will be {becomes} at {_clock(began + found.deadline, began)}"
    fix = (
        "Raise `deadline` or the first of `steps`, or choose `strategy: direct` or another "
        "`on_inconclusive`."
    )
    if not found.rate:
        return (
            "This canary cannot be decided without traffic, and the router has seen none lately: "
            f"unless some comes, {at}. {fix}"
        )
    of_canary = f"{_about(found.reach)} of them to the canary"
    sees = f"At {_per(found.rate)} this canary sees about {_about(found.comes)} requests by its "
    sees += f"deadline ({of_canary})"
    if found.needed is None or found.takes is None:
        every = "every signal is within its margin"
        return f"{sees}, and no number of them can show that {every}: {at}. {fix}"
    if found.comes < found.needed:
        return f"{sees}, of about {found.needed:,} needed to decide: {at}. {fix}"
    return (
        f"At {_per(found.rate)} this canary takes about {duration(found.takes)} to decide, and "
        f"its deadline is {duration(found.deadline)}: {at}. {fix}"
    )


def _needed(state: CanaryState, shares: Sequence[float], counts: Sequence[float]) -> int | None:
    """The requests needed at the last share to show all signals within their margins, after
    `counts` at the shares before it."""
    needed = 0
    for signal in (*state.policy.signals, *state.policy.holding):
        if families.is_unknown(state, signal):
            continue
        ahead = [families.next_request(state, signal, share) for share in shares]
        gains = [families.safety(state, signal, each) for each in ahead]
        before = [
            sum(n * gain[place] for n, gain in zip(counts, gains, strict=False))
            for place in range(len(gains[-1]))
        ]
        more = _least(state, signal, before, gains[-1])
        if more is None:
            return None
        needed = max(needed, more)
    return needed


def _least(
    state: CanaryState, signal: str, before: Sequence[float], gains: Sequence[float]
) -> int | None:
    weights, limit = families.safety_prior(state, signal), -log(state.policy.false_promotion)

    def convinced(more: int) -> bool:
        wealth = [sofar + more * gain for sofar, gain in zip(before, gains, strict=True)]
        return log_mixture(weights, wealth) >= limit

    return least(convinced)


def _per(rate: float) -> str:
    """`3 requests an hour`, `0.5 requests a second`."""
    for unit, seconds in (("second", 1.0), ("minute", 60.0), ("hour", HOUR), ("day", DAY)):
        if rate * seconds >= 1 or unit == "day":
            count = rounded(rate * seconds, 2)
            return f"{count} request{'' if count == '1' else 's'} {_a(unit)}"
    raise AssertionError


def _a(unit: str) -> str:
    return f"an {unit}" if unit == "hour" else f"a {unit}"


def _about(count: float) -> str:
    return rounded(count, 2) if count < 10 else f"{round(count):,}"


def _clock(at: float, now: float) -> str:
    """`14:00 UTC`, with the date if it is not today's."""
    then, today = (datetime.fromtimestamp(one, UTC) for one in (at, now))
    form = "%H:%M UTC" if then.date() == today.date() else "%Y-%m-%d %H:%M UTC"
    return then.strftime(form)
