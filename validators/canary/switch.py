"""After all traffic was switched at once: does the new version fail more often than the old one?

Only one version answers at a time, so the comparison is of after with before: if callers change at
that very moment, the new version is blamed. Of a canary's signals only failed requests are watched,
as they are the least likely to change by themselves.
"""

from collections.abc import Iterable, Sequence
from math import log
from typing import Final

from specs.figures import percent
from specs.release import BlueGreen, ErrorSignal
from specs.traffic import Arm, ArmWindow, Exchange, TrafficWindow
from validators.canary import record
from validators.canary import signal_bets as families
from validators.canary.evidence import odds
from validators.canary.policy import ERRORS_AT_MOST, CanaryPolicy
from validators.canary.state import CanaryState
from validators.canary.windows import count
from validators.report import Check, GateValue, Report
from validators.verdict import Verdict

_HALVINGS: Final = 50


class FormerCounts(GateValue):
    """The router's counts for the version that traffic was switched from."""

    requests: int = 0
    failed: int = 0


class SwitchWatch(GateValue):
    """The watch over one switch: made by `begin`, advanced by `update`."""

    before: FormerCounts
    level: float | None
    """The share of requests that may fail; None if that is unknown, so nothing is judged."""
    state: CanaryState | None
    """The traffic since the switch; its only signal is the level."""

    @property
    def requests(self) -> int:
        """Requests since the switch."""
        return self.state.requests(Arm.CANARY) if self.state else 0

    @property
    def failed(self) -> int:
        """How many of those failed."""
        return self.state.errors(Arm.CANARY) if self.state else 0

    @property
    def log_worse(self) -> float:
        """log E against "it fails no more often than `level`": the betting odds."""
        return families.log_evidence(self.state, ERRORS_AT_MOST) if self.state else 0.0

    @property
    def worse(self) -> bool:
        """Whether it is shown to fail more often than allowed."""
        return self.state is not None and self.log_worse >= -log(self.state.policy.false_rollback)


def before(
    rule: BlueGreen, history: Iterable[Exchange], windows: Sequence[TrafficWindow] = ()
) -> FormerCounts:
    """The counts of the version to be left, from the router's records or counts until now."""
    policy = CanaryPolicy(counts=(rule.errors or ErrorSignal()).counts)
    statuses = [each.status for each in history if each.arm is Arm.STABLE]
    failed = sum(policy.classed(status) == "errors" for status in statuses)
    return FormerCounts(
        requests=len(statuses) + sum(window.stable.requests for window in windows),
        failed=failed + sum(window.stable.errors for window in windows),
    )


def begin(rule: BlueGreen, seen: FormerCounts, now: float) -> SwitchWatch:
    """The watch from now on. Half of `false_rollback` covers not knowing the old version's true
    rate, half the repeated looks."""
    errors, chance = rule.errors, rule.false_rollback / 2
    if errors is None:
        return SwitchWatch(before=seen, level=None, state=None)
    limits = [at_most(seen, chance) + errors.not_worse_by]
    limits += [errors.at_most] if errors.at_most else []
    level = min(limits)
    if not 0 < level < 1:
        return SwitchWatch(before=seen, level=None, state=None)
    policy = CanaryPolicy(
        counts=errors.counts,
        errors_margin=None,
        errors_at_most=level,
        latencies=(),
        refusals_margin=None,
        others_margin=None,
        content_margin=None,
        size_margin=None,
        false_rollback=chance,
        minimum_bake=0.0,
        deadline=rule.keep_for.total_seconds(),
    )
    return SwitchWatch(before=seen, level=level, state=record.begin(policy, (), now))


def update(
    watched: SwitchWatch, exchanges: Sequence[Exchange], windows: Sequence[TrafficWindow] = ()
) -> SwitchWatch:
    """The watch after these records or windows, each given once; what was answered before the
    switch is left out."""
    state = watched.state
    if state is None:
        return watched
    # All go to one version: draws with only one possible result.
    new = [each._replace(arm=Arm.CANARY, probability=1.0) for each in exchanges]
    since = [each for each in new if each.at >= state.began]
    state = count(
        record.update(state, since),
        (
            TrafficWindow(
                seq=window.seq,
                start=window.start,
                end=window.end,
                weight=1.0,
                canary=ArmWindow(
                    requests=window.stable.requests + window.canary.requests,
                    errors=window.stable.errors + window.canary.errors,
                ),
            )
            for window in windows
            if window.start >= state.began
        ),
    )
    return watched.model_copy(update={"state": state})


def at_most(seen: FormerCounts, chance: float) -> float:
    """An upper bound for the true rate of failures, given these counts: it is exceeded with at most
    this chance (Chernoff's bound)."""
    if not seen.requests:
        return 1.0
    share = seen.failed / seen.requests
    low, high = share, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        unlikely = seen.requests * _divergence(share, middle) > -log(chance)
        low, high = (low, middle) if unlikely else (middle, high)
    return high


def _divergence(share: float, rate: float) -> float:
    terms = ((share, rate), (1 - share, 1 - rate))
    return sum(a * log(a / b) for a, b in terms if a > 0 and b > 0)


def headline(watched: SwitchWatch, former: str) -> str:
    """The failures since the switch and before it, in a sentence."""
    seen, level = watched.before, watched.level
    since = "no request has come since the switch"
    if watched.requests:
        share = percent(watched.failed / watched.requests)
        since = f"{watched.failed:,} of {watched.requests:,} requests failed ({share})"
    was = f"{seen.failed:,} of {seen.requests:,} of {former} before"
    if level is None:
        return f"Failed requests are not watched: {since}, {was}."
    return f"Since the switch {since}, {was}; at most {percent(level)} may fail."


def report(watched: SwitchWatch, subject: str, former: str) -> Report:
    """The watch as a report with one check."""
    seen = watched.before
    limit = 1 / watched.state.policy.false_rollback if watched.state else 0.0
    check = Check(
        name="errors",
        verdict=Verdict.FAIL if watched.worse else Verdict.INCONCLUSIVE,
        message=f"{headline(watched, former)} Evidence that it fails more often "
        f"{odds(watched.log_worse)}, limit {limit:,.0f}.",
        subject="errors",
        observed=percent(watched.failed / watched.requests) if watched.requests else None,
        limit=f"<= {percent(watched.level)}" if watched.level is not None else None,
        baseline=percent(seen.failed / seen.requests) if seen.requests else None,
        n=watched.requests,
    )
    return Report(gate="switch", subject=subject, checks=(check,))
