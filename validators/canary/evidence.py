"""A judgement in words: the report that reviewers read and that pages whoever is on call."""

from collections.abc import Sequence
from math import exp, log
from typing import Final

from specs.figures import duration, rounded
from specs.target_scripts import UNWATCHED
from validators.canary.comparison import figures
from validators.canary.judgement import CanaryDecision, Judgement, SignalJudgement
from validators.canary.latency_tail import convicting
from validators.canary.policy import ERRORS, ERRORS_AT_MOST, OTHERS, REFUSALS
from validators.canary.state import CanaryState
from validators.report import Check, Report
from validators.verdict import Verdict

_MILLION: Final = log(1e6)
_LOOK_FOR: Final = {
    ERRORS: "failing",
    ERRORS_AT_MOST: "failing",
    REFUSALS: "refused",
    OTHERS: "unexpectedly answered",
}


def report(judgement: Judgement, subject: str, state: CanaryState | None = None) -> Report:
    """The judgement as a report: PASS exactly when it promotes, FAIL exactly when it rolls back.

    Signals come first, the worst at the top, then the conditions for any decision. With `state`,
    the state that was judged, latencies say which part of the distribution is worse.
    """
    signals = [_signal(judgement, each, state) for each in judgement.evidence]
    signals += [_difference(judgement, each) for each in judgement.differences]
    return Report(
        gate="canary",
        subject=subject,
        checks=(*signals, _records(judgement), _bake(judgement), _fresh(judgement)),
        notes=(headline(judgement, state), *_basis(judgement), *_unwatched(state)),
    )


def headline(judgement: Judgement, state: CanaryState | None = None) -> str:
    """The judgement in a sentence or two, with what it waits for.

    A canary that the evidence clears need not be promoted yet: it may have more weights to go
    through, or be paused.
    """
    policy, first = judgement.policy, judgement.evidence[0]
    if judgement.decision is CanaryDecision.ROLLBACK:
        guilty = [_named(each, state) for each in judgement.evidence if each.guilty]
        most = _named(first, state)
        what = " and ".join(guilty) or f"its signals together, {most} most of all"
        return (
            f"Rolled back: the canary is worse than stable in {what}. Evidence over all signals "
            f"{odds(judgement.log_worse)}, limit {1 / policy.false_rollback:,.0f}: a canary that "
            f"is no worse reaches it at most once in {1 / policy.false_rollback:,.0f}."
            f"{f' It is from {judgement.basis}.' if judgement.windows else ''}"
        )
    if judgement.records_lost:
        total = judgement.canary.requests + judgement.stable.requests
        short = "the canary" if judgement.canary_short else "stable"
        return (
            f"Not judged: {judgement.canary.requests:,} of {total:,} records are the canary's, "
            f"which is not the drawn share; requests to {short} hang or leave no record."
        )
    if judgement.decision is CanaryDecision.HOLD:
        differing = _differing(judgement)
        told = "; ".join(figures(judgement, each.signal).words for each in differing)
        return (
            f"Held: the canary's answers differ from stable's in {_names(differing)}: {told}. "
            "If that is intended, `headgate promote`; if not, `headgate rollback`."
        )
    if judgement.decision is CanaryDecision.PROMOTE:
        return (
            "Every signal is shown to be within its margin: a canary that is worse by a margin "
            f"gets this far at most once in {1 / policy.false_promotion:,.0f}."
        )
    late = judgement.decision is CanaryDecision.INCONCLUSIVE
    if judgement.undrawn and judgement.uncompared:
        return _uncompared(judgement)
    return f"{'Not decided by the deadline' if late else 'Waiting'}: {_missing(judgement)}."


def _basis(judgement: Judgement) -> tuple[str, ...]:
    """What was judged, and what that cannot show."""
    counted = " Counts show no refusals, other statuses, media types and sizes: not watched."
    if not judgement.canary.requests + judgement.stable.requests:
        return ()
    said = f"Judged by {judgement.basis}.{counted if judgement.windows else ''}"
    return (said, judgement.limits) if judgement.limits else (said,)


def _unwatched(state: CanaryState | None) -> tuple[str, ...]:
    return (f"Note: {UNWATCHED}.",) if state is not None and state.split is not None else ()


def _uncompared(judgement: Judgement) -> str:
    """Why a canary is not judged where requests are not drawn, and what to do."""
    cannot = _names(judgement.uncompared)
    return (
        f"Not judged: {judgement.undrawn}, and without draws {cannot} cannot be compared with "
        "stable's. Let the target draw at random, or watch `errors` with `at_most` alone, which "
        "needs no draw; or decide by hand: `headgate promote` or `headgate rollback`."
    )


def odds(log_e: float) -> str:
    """An E-value for people: `0.31`, `5.2`, `1,310`, `more than a million`."""
    if log_e > _MILLION:
        return "more than a million"
    value = exp(log_e)
    if value < 0.005:
        return "below 0.01"
    return rounded(value, 2)


def _missing(judgement: Judgement) -> str:
    """What a canary still needs to be promoted."""
    open_ = [each for each in judgement.every if not each.safe]
    if not judgement.canary.requests:
        return "no request has reached the canary yet"
    if open_:
        every = len(open_) == len(judgement.every) and len(open_) > 1
        names = "all signals" if every else _names(open_)
        more = judgement.more_requests
        if more is None:
            return f"{names} not yet shown to be within the margin"
        total = judgement.canary.requests + judgement.stable.requests
        pace = total / judgement.window if judgement.window else 0.0
        when = f" ({duration(more / pace)} at {rounded(pace)} a second)" if pace else ""
        return (
            f"about {more:,} more requests{when} show that {names} "
            f"{'is' if len(open_) == 1 else 'are'} within the margin, if the canary is like stable"
        )
    if not judgement.baked:
        return f"{duration(judgement.policy.minimum_bake - judgement.window)} of the minimum bake"
    return "fresh traffic"


def _named(evidence: SignalJudgement, state: CanaryState | None) -> str:
    """The signal and, for a latency, the part of its distribution that is worse."""
    tail = convicting(state, evidence)
    return f"{evidence.signal} ({tail.name})" if tail else evidence.signal


def _names(evidence: Sequence[SignalJudgement]) -> str:
    return " and ".join(each.signal for each in evidence)


def _differing(judgement: Judgement) -> tuple[SignalJudgement, ...]:
    """The signals that the canary is held for: those found guilty, or else the strongest."""
    return (
        tuple(each for each in judgement.differences if each.guilty) or (judgement.differences[:1])
    )


def _difference(judgement: Judgement, evidence: SignalJudgement) -> Check:
    """A signal that may hold, not roll back; it passes as others do unless the canary differs."""
    convicts, acquits = 1 / judgement.policy.false_rollback, 1 / judgement.policy.false_promotion
    if not judgement.differs:
        differs = f"evidence that they differ {odds(evidence.log_worse)} (needs {convicts:,.0f})"
        verdict = _verdict(judgement, evidence)
        alike = f"that they do not {odds(evidence.log_safe)} (needs {acquits:,.0f})"
        next_step = _next_step(judgement, evidence, verdict)
        return _check(judgement, evidence, verdict, f"{differs}, {alike}", next_step)
    is_named = evidence in _differing(judgement)
    return _check(
        judgement,
        evidence,
        Verdict.INCONCLUSIVE,
        f"evidence that they differ {odds(evidence.log_worse)}, limit {convicts:,.0f}",
        "Look at its answers. If that is intended, `headgate promote`; if not, `headgate rollback`."
        if is_named
        else None,
    )


def _signal(judgement: Judgement, evidence: SignalJudgement, state: CanaryState | None) -> Check:
    policy = judgement.policy
    verdict = _verdict(judgement, evidence)
    convicts, acquits = 1 / policy.false_rollback, 1 / policy.false_promotion
    weighed = {
        Verdict.FAIL: f"evidence that it is worse {odds(evidence.log_worse)}, "
        f"limit {convicts:,.0f}",
        Verdict.PASS: f"evidence that it is within the margin {odds(evidence.log_safe)}, "
        f"limit {acquits:,.0f}",
    }.get(
        verdict,
        f"evidence that it is worse {odds(evidence.log_worse)} (needs {convicts:,.0f}), that it is "
        f"within the margin {odds(evidence.log_safe)} (needs {acquits:,.0f})",
    )
    next_step = _next_step(judgement, evidence, verdict)
    check = _check(judgement, evidence, verdict, weighed, next_step)
    tail = convicting(state, evidence) if verdict is Verdict.FAIL else None
    return check.model_copy(update={"message": f"{tail}; {check.message}"}) if tail else check


def _check(
    judgement: Judgement,
    evidence: SignalJudgement,
    verdict: Verdict,
    weighed: str,
    next_step: str | None,
) -> Check:
    found = figures(judgement, evidence.signal)
    known = found.canary is not None and found.stable is not None
    return Check(
        name=evidence.signal,
        verdict=verdict,
        message=f"{found.words}; {weighed}.",
        subject=evidence.signal,
        observed=found.canary,
        limit=found.limit,
        baseline=found.stable,
        difference=(found.canary or 0.0) - (found.stable or 0.0) if known else None,
        n=judgement.canary.requests,
        window=judgement.window,
        next_step=next_step,
    )


def _verdict(judgement: Judgement, evidence: SignalJudgement) -> Verdict:
    if judgement.decision is CanaryDecision.ROLLBACK:
        named = any(each.guilty for each in judgement.evidence)
        if evidence.guilty or (not named and evidence is judgement.evidence[0]):
            return Verdict.FAIL
    believed = evidence.safe and not judgement.records_lost
    return Verdict.PASS if believed else Verdict.INCONCLUSIVE


def _next_step(judgement: Judgement, evidence: SignalJudgement, verdict: Verdict) -> str | None:
    if verdict is Verdict.FAIL:
        kind = _LOOK_FOR.get(evidence.signal, "slow")
        return (
            "Stable takes all traffic again; no action is needed to restore service. Look for "
            f"{kind} requests in the canary's log, and commit a fix."
        )
    decided = judgement.decision is CanaryDecision.ROLLBACK or judgement.records_lost
    if verdict is not Verdict.INCONCLUSIVE or decided:
        return None
    if judgement.decision is CanaryDecision.INCONCLUSIVE:
        return (
            "Send it more traffic (a larger share or a longer deadline), or decide by hand: "
            "`headgate promote` or `headgate rollback`."
        )
    if evidence.more_requests is None:
        return "The canary goes on until the evidence decides or the deadline passes."
    return f"About {evidence.more_requests:,} more requests decide it if the canary is like stable."


def _records(judgement: Judgement) -> Check:
    total = judgement.canary.requests + judgement.stable.requests
    lost = judgement.records_lost
    return Check(
        name="sample ratio",
        verdict=Verdict.ERROR if lost else Verdict.PASS if total else Verdict.INCONCLUSIVE,
        message=f"{judgement.canary.requests:,} of {total:,} records are the canary's, "
        + ("which is not the drawn share." if lost else "as drawn."),
        observed=judgement.canary.requests / total if total else None,
        n=total,
        window=judgement.window,
        next_step="Find out which requests leave no record: a server that hangs or is cut off, a "
        "router that was replaced, traffic that bypasses it."
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
        else "Check that traffic reaches the router, and its records the controller.",
    )
