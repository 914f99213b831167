"""Counting windows of counts, where a target gives no records of single requests. Pure.

The counts of errors and of latencies per bucket are what the judge's bets are functions of, so
nothing of their guarantee is lost as long as each request was drawn with the weight in force.
Refusals, statuses, kinds and sizes of answers are not counted, so they are not watched.

Latencies are known to their bucket only. Where the bets divide the canary's by 1 + margin, it gets
the benefit of the doubt when it is to be shown slower, and the opposite when it is to be shown not
to be: so buckets that are coarse compared with the margin cost power, never validity. Both arms of
a window show the latencies of all requests that did not fail, or neither is bet on: those of one
alone are no draws. Where a gateway times requests apart from counting them (`timed`), in both arms
alike, the latencies are of whatever it timed.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isfinite
from typing import Final

from specs.figures import percent, rounded
from specs.traffic import Arm, ArmWindow, Split, TrafficWindow
from validators.canary import latency
from validators.canary.latency import Bins
from validators.canary.policy import CanaryPolicy
from validators.canary.signal_bets import MINUTE, restart
from validators.canary.splits import bet_on_evenness, is_too_even
from validators.canary.state import FORMAT, CanaryState, Stratum, Tally

STRATA: Final = 16
"""How many weights are kept apart; windows with any others are not counted."""
_HOUR: Final = 3600.0


def begin_counting(
    policy: CanaryPolicy, history: Sequence[TrafficWindow], at: float, split: Split | None
) -> CanaryState:
    """The state before the first window. `history` holds the windows before the canary."""
    watched = policy.model_copy(
        update={
            "refusals_margin": None,
            "others_margin": None,
            "content_margin": None,
            "size_margin": None,
        }
    )
    requests = sum(window.stable.requests for window in history)
    errors = sum(window.stable.errors for window in history)
    state = CanaryState(
        policy=watched,
        began=at,
        format=FORMAT,
        base_errors=errors / requests if requests else None,
        counted=True,
        split=split,
    )
    for window in history:
        state = _learned(state, window.stable)
    return state


def count(state: CanaryState, windows: Iterable[TrafficWindow]) -> CanaryState:
    """The state after these windows, each given once, oldest first.

    Windows whose counts cannot be draws (a weight of 0; stable's requests at a weight of 1) are
    left out: missing data multiplies the evidence by one.
    """
    for window in windows:
        if _could_be(window):
            state = _counted(state, window)
    return state


def pace(windows: Sequence[TrafficWindow], now: float) -> float:
    """Requests per second in the windows of the last hour."""
    recent = [window for window in windows if now - _HOUR <= window.start and window.end <= now]
    seconds = sum(window.end - window.start for window in recent)
    requests = sum(window.stable.requests + window.canary.requests for window in recent)
    return requests / seconds if seconds else 0.0


def too_coarse(state: CanaryState) -> str:
    """What to do if no traffic shows that a latency is within its margin; empty if some can."""
    if not state.counted or not state.policy.latencies:
        return ""
    if state.bins is None:
        if not state.windows or state.learning:
            return ""
        return "Its windows have no latencies, so latency signals cannot be judged."
    for own in state.policy.latencies:
        if own.statistic == "mean":
            return "Buckets do not show a mean: watch a quantile, such as `latency_p99`."
        at = latency.edge(state.bins, float(f"0.{own.statistic[1:]}"))
        edges = state.bins.edges
        if at == 0 or not edges[at - 1]:
            return f"Stable's {own.statistic} is about the first bound of its latency buckets."
        if at + 1 >= len(edges):
            return f"Stable's {own.statistic} is above the last bound of its latency buckets."
        # The quantile is on either side of the edge nearest to it.
        wider = max(pairwise(edges[at - 1 : at + 2]), key=lambda ends: ends[1] / ends[0])
        least = wider[1] / wider[0] - 1
        if least > own.margin:
            return (
                f"Its latency buckets end at {rounded(wider[0])} s and {rounded(wider[1])} s "
                f"near the {own.statistic}, too far apart to show a difference below "
                f"{percent(own.margin)}: give finer buckets, or `not_worse_by: "
                f"{percent(least)}`."
            )
    return ""


def _are_shown(state: CanaryState, window: TrafficWindow) -> bool:
    """Whether both arms have the latencies of all their requests that did not fail, or that were
    timed, in the buckets that stable's were learned in."""
    if state.bins is None:
        return False
    for arm in (window.stable, window.canary):
        shown = arm.answered if arm.timed is None else arm.timed
        if sum(bucket.count for bucket in arm.latencies) != shown:
            return False
        if shown and _edges(arm) != state.bins.edges:
            return False
    return True


def _could_be(window: TrafficWindow) -> bool:
    at_one = window.weight == 1 and window.stable.requests
    return 0 < window.weight <= 1 and not at_one and isfinite(window.end)


def _counted(state: CanaryState, window: TrafficWindow) -> CanaryState:
    if state.minutes < state.policy.restarts and window.start >= state.began + MINUTE * (
        state.minutes + 1
    ):
        state = restart(state, window.start)
    strata = {stratum.probability: stratum for stratum in state.strata}
    if window.weight not in strata and len(strata) == STRATA:
        return state
    stratum = strata.get(window.weight) or Stratum(
        probability=window.weight, stable=_empty(state), canary=_empty(state)
    )
    bins = state.bins if _are_shown(state, window) else None
    strata[window.weight] = stratum.model_copy(
        update={
            "stable": _added(state, stratum.stable, window.stable, Arm.STABLE, bins),
            "canary": _added(state, stratum.canary, window.canary, Arm.CANARY, bins),
        }
    )
    requests = window.stable.requests + window.canary.requests
    evenness = bet_on_evenness(state.evenness, requests, window.canary.requests, window.weight)
    newest = window.end if requests else state.newest
    state = state.model_copy(
        update={
            "strata": tuple(strata.values()),
            "newest": newest if state.newest is None else max(newest or 0.0, state.newest),
            "windows": state.windows + 1,
            "window_seconds": state.window_seconds + window.end - window.start,
            "evenness": evenness,
            "too_even": state.too_even or is_too_even(evenness),
        }
    )
    return _learned(state, window.stable) if state.bins is None else state


def _added(state: CanaryState, tally: Tally, seen: ArmWindow, arm: Arm, bins: Bins | None) -> Tally:
    """The tally with a window, with its latencies if there are bins for them."""
    update: dict[str, object] = {
        "requests": tally.requests + seen.requests,
        "errors": tally.errors + seen.errors,
    }
    if bins is not None and seen.latencies:
        counts = [bucket.count for bucket in seen.latencies]
        scales = [1.0 if arm is Arm.STABLE else 1 + own.margin for own in state.policy.latencies]
        update["buckets"] = _sum(tally.buckets, counts)
        update["latencies"] = tuple(
            _sum(sofar, latency.placed(bins, counts, scale, up=False))
            for sofar, scale in zip(tally.latencies, scales, strict=True)
        )
        update["at_most"] = tuple(
            _sum(sofar, latency.placed(bins, counts, scale, up=True))
            for sofar, scale in zip(tally.at_most, scales, strict=True)
        )
    return tally.model_copy(update=update)


def _learned(state: CanaryState, stable: ArmWindow) -> CanaryState:
    """The bins are stable's buckets, once enough of its latencies are known; what they are learned
    from is not bet on."""
    if state.bins is not None or not state.policy.latencies or len(stable.latencies) < 2:
        return state
    edges, counts = _edges(stable), [bucket.count for bucket in stable.latencies]
    learning = _sum(state.learning, counts) if edges == state.learning_edges else tuple(counts)
    if sum(learning) < latency.LEARN_FROM:
        return state.model_copy(update={"learning": learning, "learning_edges": edges})
    state = state.model_copy(
        update={
            "bins": Bins(edges=edges, reference=learning),
            "learning": (),
            "learning_edges": (),
        }
    )
    fresh = _empty(state)
    shape = {name: getattr(fresh, name) for name in ("latencies", "at_most", "unended", "buckets")}
    strata = tuple(
        one.model_copy(
            update={
                "stable": one.stable.model_copy(update=shape),
                "canary": one.canary.model_copy(update=shape),
            }
        )
        for one in state.strata
    )
    return state.model_copy(update={"strata": strata})


def _empty(state: CanaryState) -> Tally:
    if state.bins is None:
        return Tally()
    signals, bins = len(state.policy.latencies), (0,) * len(state.bins.reference)
    return Tally(
        latencies=(bins,) * signals,
        at_most=(bins,) * signals,
        unended=((0,) * latency.PASSES,) * signals,
        buckets=bins,
    )


def _edges(seen: ArmWindow) -> tuple[float, ...]:
    return tuple(bucket.up_to for bucket in seen.latencies if bucket.up_to is not None)


def _sum(sofar: Sequence[int], more: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(sofar or (0,) * len(more), more, strict=True))
