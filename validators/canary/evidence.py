"""A judgement in words: the report that a reviewer reads, and that wakes somebody at night."""

from math import exp, log
from typing import Final

from validators.canary.judgement import Decision, Evidence, Judgement, Served
from validators.canary.policy import ERRORS, ERRORS_AT_MOST
from validators.canary.state import State
from validators.canary.tail import Tail, tail_of
from validators.figures import milliseconds, percent, relative, rounded
from validators.report import Check, Report
from validators.verdict import Verdict

_MILLION: Final = log(1e6)


def report(judgement: Judgement, subject: str, state: State | None = None) -> Report:
    """The judgement as a report: PASS exactly when it promotes, FAIL exactly when it rolls back.

    Signals first, the guilty one at the top; then what has to hold for any decision. With the
    state that was judged, a latency says in which part of the distribution it is worse.
    """
    signals = tuple(_signal(judgement, each, state) for each in judgement.evidence)
    return Report(
        gate="canary",
        subject=subject,
        checks=(*signals, _records(judgement), _bake(judgement), _fresh(judgement)),
        notes=(headline(judgement, state),),
    )


def headline(judgement: Judgement, state: State | None = None) -> str:
    """What the judge says in a sentence or two, with what it waits for.

    That the evidence lets it pass does not say that it is promoted: it may have weights to grow
    through, or be paused.
    """
    policy, first = judgement.policy, judgement.evidence[0]
    if judgement.decision is Decision.ROLLBACK:
        guilty = [_named(each.signal, state) for each in judgement.evidence if each.guilty]
        most = _named(first.signal, state)
        what = " and ".join(guilty) or f"its signals together, {most} most of all"
        return (
            f"Rolled back: the canary is worse than stable in {what}. Evidence over all signals "
            f"{odds(judgement.log_worse)}, limit {1 / policy.false_rollback:,.0f}: a canary that "
            f"is no worse gets there at most once in {1 / policy.false_rollback:,.0f}."
        )
    if judgement.records_lost:
        total = judgement.canary.requests + judgement.stable.requests
        short = "the canary" if judgement.canary_short else "stable"
        return (
            f"Not judged: {judgement.canary.requests:,} of {total:,} records are the canary's, "
            f"which is not the share that was drawn; requests to {short} hang or leave no record."
        )
    if judgement.decision is Decision.PROMOTE:
        return (
            "Every signal is shown to be within its margin: a canary that is worse by a margin "
            f"gets there at most once in {1 / policy.false_promotion:,.0f}."
        )
    late = judgement.decision is Decision.INCONCLUSIVE
    return f"{'Not decided by the deadline' if late else 'Waiting'}: {_missing(judgement)}."


def odds(log_e: float) -> str:
    """An E-value for people: 0.31, 5.2, 1,310, or more than a million."""
    if log_e > _MILLION:
        return "more than a million"
    value = exp(log_e)
    if value < 0.005:
        return "below 0.01"
    return rounded(value, 2)


def figure(signal: str, value: float | str | None) -> str:
    """What a signal showed, in its unit: `1.3 %`, `131 ms`; empty where it is not known."""
    if value is None or isinstance(value, str):
        return value or ""
    return milliseconds(value) if signal.startswith("latency") else percent(value)


def duration(seconds: float) -> str:
    """Seconds for people, two units at most: 45 s, 12 min, 3 h 20 min."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest and hours < 24 else f"{hours} h"


def _missing(judgement: Judgement) -> str:
    """What keeps a canary from being promoted."""
    open_ = [each.signal for each in judgement.evidence if not each.safe]
    if not judgement.canary.requests:
        return "no request has reached the canary yet"
    if open_:
        more = judgement.more_requests
        if more is None:
            return f"{' and '.join(open_)} not yet shown to be within the margin"
        total = judgement.canary.requests + judgement.stable.requests
        pace = total / judgement.window if judgement.window else 0.0
        when = f" ({duration(more / pace)} at {rounded(pace)} a second)" if pace else ""
        return (
            f"about {more:,} more requests{when} show that {' and '.join(open_)} "
            f"{'is' if len(open_) == 1 else 'are'} within the margin, if the canary is like stable"
        )
    if not judgement.baked:
        return f"{duration(judgement.policy.minimum_bake - judgement.window)} of the minimum bake"
    return "fresh traffic"


def _named(signal: str, state: State | None) -> str:
    """The signal, with the part of the distribution that convicts."""
    tail = tail_of(state, signal) if state is not None else None
    return f"{signal} ({tail.name})" if tail else signal


def _signal(judgement: Judgement, evidence: Evidence, state: State | None) -> Check:
    policy, signal = judgement.policy, evidence.signal
    verdict = _verdict(judgement, evidence)
    blames = state is not None and verdict is Verdict.FAIL
    tail = tail_of(state, signal) if state is not None and blames else None
    observed, baseline, limit, message = _measured(judgement, signal, tail)
    convicts, acquits = 1 / policy.false_rollback, 1 / policy.false_promotion
    weighed = {
        Verdict.FAIL: f"evidence that it is worse {odds(evidence.log_worse)}, "
        f"limit {convicts:,.0f}",
        Verdict.PASS: f"evidence that it is within the margin {odds(evidence.log_safe)}, "
        f"limit {acquits:,.0f}",
    }.get(
        verdict,
        f"evidence that it is worse {odds(evidence.log_worse)} of {convicts:,.0f}, that it is "
        f"within the margin {odds(evidence.log_safe)} of {acquits:,.0f}",
    )
    return Check(
        name=signal,
        verdict=verdict,
        message=f"{message}; {weighed}.",
        subject=signal,
        observed=observed,
        limit=limit,
        baseline=baseline,
        difference=None if observed is None or baseline is None else observed - baseline,
        n=judgement.canary.requests,
        window=judgement.window,
        next_step=_next_step(judgement, evidence, verdict),
    )


def _verdict(judgement: Judgement, evidence: Evidence) -> Verdict:
    if judgement.decision is Decision.ROLLBACK:
        named = any(each.guilty for each in judgement.evidence)
        if evidence.guilty or (not named and evidence is judgement.evidence[0]):
            return Verdict.FAIL
    believed = evidence.safe and not judgement.records_lost
    return Verdict.PASS if believed else Verdict.INCONCLUSIVE


def _measured(
    judgement: Judgement, signal: str, tail: Tail | None
) -> tuple[float | None, float | None, str, str]:
    """Canary's value, stable's value, the limit and the comparison in words."""
    policy, canary, stable = judgement.policy, judgement.canary, judgement.stable
    if signal in (ERRORS, ERRORS_AT_MOST):
        failed = f"the canary failed {_share(canary)}, stable {_share(stable)}"
        if signal == ERRORS:
            points = 100 * (policy.errors_margin or 0.0)
            limit = f"not worse by more than {rounded(points)} points"
        else:
            limit = f"<= {percent(policy.errors_at_most or 0.0)}"
        return canary.error_rate, stable.error_rate, limit, failed
    own = next(each for each in policy.latencies if each.name == signal)
    values = [getattr(arm, own.statistic) for arm in (canary, stable)]
    limit = f"no quantile slower by more than {percent(own.margin)}"
    if values[0] is None or values[1] is None:
        return None, values[1], limit, f"the {own.statistic} latency is not known of both yet"
    spread = f"mean/p50/p90/p99 of the canary {_spread(canary)}, of stable {_spread(stable)}"
    message = f"{spread}: {own.statistic} {_slower(*values)}"
    return values[0], values[1], limit, f"{tail}; {message}" if tail else message


def _spread(arm: Served) -> str:
    values = (arm.mean, arm.p50, arm.p90, arm.p99)
    return "/".join(rounded(1000 * (value or 0.0)) for value in values) + " ms"


def _slower(canary: float, stable: float) -> str:
    return relative(canary / stable - 1) if stable > 0 else "not comparable"


def _share(arm: Served) -> str:
    if arm.error_rate is None:
        return "0 of 0 requests"
    return f"{arm.errors:,} of {arm.requests:,} requests ({percent(arm.error_rate)})"


def _next_step(judgement: Judgement, evidence: Evidence, verdict: Verdict) -> str | None:
    if verdict is Verdict.FAIL:
        kind = "failing" if evidence.signal in (ERRORS, ERRORS_AT_MOST) else "slow"
        return (
            "Stable takes all traffic again; no action is needed to restore service. Look for "
            f"{kind} requests in the canary's log, and commit a fix."
        )
    decided = judgement.decision is Decision.ROLLBACK or judgement.records_lost
    if verdict is not Verdict.INCONCLUSIVE or decided:
        return None
    if judgement.decision is Decision.INCONCLUSIVE:
        return (
            "Send it more traffic (a larger share or a longer deadline), or decide by hand: "
            "`headgate promote` or `headgate rollback`."
        )
    if evidence.more_requests is None:
        return "It goes on until the evidence decides, or the deadline."
    return f"About {evidence.more_requests:,} more requests decide it if the canary is like stable."


def _records(judgement: Judgement) -> Check:
    total = judgement.canary.requests + judgement.stable.requests
    lost = judgement.records_lost
    return Check(
        name="sample ratio",
        verdict=Verdict.ERROR if lost else Verdict.PASS if total else Verdict.INCONCLUSIVE,
        message=f"{judgement.canary.requests:,} of {total:,} records are the canary's, "
        + ("which is not the share that was drawn." if lost else "as drawn."),
        observed=judgement.canary.requests / total if total else None,
        n=total,
        window=judgement.window,
        next_step="Find out which requests leave no record: a server that hangs or is cut off, a "
        "router that was replaced, traffic that goes around it."
        if lost
        else None,
    )


def _bake(judgement: Judgement) -> Check:
    return Check(
        name="minimum bake",
        verdict=Verdict.PASS if judgement.baked else Verdict.INCONCLUSIVE,
        message=f"Under traffic for {duration(judgement.window)}, "
        f"at least {duration(judgement.policy.minimum_bake)}.",
        observed=judgement.window,
        limit=f">= {judgement.policy.minimum_bake:g} s",
        window=judgement.window,
    )


def _fresh(judgement: Judgement) -> Check:
    stale = judgement.stale
    return Check(
        name="fresh traffic",
        verdict=Verdict.PASS if judgement.fresh else Verdict.INCONCLUSIVE,
        message="No request was recorded yet."
        if stale is None
        else f"The newest request is {duration(stale)} old.",
        observed=stale,
        limit=f"<= {judgement.policy.freshness:g} s",
        window=judgement.window,
        next_step=None
        if judgement.fresh
        else "Look if traffic reaches the router, and if its records reach the controller.",
    )
