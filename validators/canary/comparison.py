"""Both arms compared, signal by signal, as values and in words."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from specs.figures import milliseconds, percent, relative, rounded
from specs.traffic import NO_ANSWER
from validators.canary.answers import FREE
from validators.canary.judgement import Judgement, Served
from validators.canary.policy import (
    CONTENT,
    ERRORS,
    ERRORS_AT_MOST,
    OTHERS,
    REFUSALS,
    SIZE,
    CanaryPolicy,
)

_NAMED: Final = 3
"""How many statuses, or kinds of answers, are named: the most frequent."""
_DID: Final = {ERRORS: "failed", REFUSALS: "refused", OTHERS: "gave an unexpected status to"}


class Figures(NamedTuple):
    """One signal of both arms."""

    canary: float | None
    stable: float | None
    limit: str
    words: str


def figures(judgement: Judgement, signal: str) -> Figures:
    """What is known about one of the judgement's signals."""
    if signal in (ERRORS, ERRORS_AT_MOST, REFUSALS, OTHERS):
        return _statuses(judgement, signal)
    if signal == CONTENT:
        return _content(judgement)
    return _size(judgement) if signal == SIZE else _latency(judgement, signal)


def figure(signal: str, value: float | str | None) -> str:
    """A signal's value in its unit: `1.3 %`, `131 ms`, `512 B`; empty if unknown."""
    if value is None or isinstance(value, str):
        return value or ""
    if signal == SIZE:
        return f"{value:,.0f} B"
    return milliseconds(value) if signal.startswith("latency") else percent(value)


def _statuses(judgement: Judgement, signal: str) -> Figures:
    policy = judgement.policy
    if signal == ERRORS_AT_MOST:
        limit, signal = f"<= {percent(policy.errors_at_most or 0.0)}", ERRORS
    else:
        limit = f"not worse by more than {rounded(100 * policy.margin(signal))} points"
    canary, stable = (
        _count(arm, policy, signal) / arm.requests if arm.requests else None
        for arm in (judgement.canary, judgement.stable)
    )
    return Figures(canary, stable, limit, _compared(judgement, signal))


def _compared(judgement: Judgement, signal: str) -> str:
    policy, canary, stable = judgement.policy, judgement.canary, judgement.stable
    only = {status for arm in (canary, stable) for status in _of(arm, policy, signal)}
    how, per_arm = _DID[signal], [_named(arm, policy, signal) for arm in (canary, stable)]
    second = "stable"
    if len(only) == 1:  # the status says more than its class
        status = only.pop()
        how = "gave no answer to" if status == NO_ANSWER else f"answered {status} to"
        per_arm, second = ["", ""], "stable to"
    counts = [
        _share(_count(arm, policy, signal), arm.requests, named)
        for arm, named in zip((canary, stable), per_arm, strict=True)
    ]
    return f"the canary {how} {counts[0]}, {second} {counts[1]}"


def _of(arm: Served, policy: CanaryPolicy, signal: str) -> dict[int, int]:
    """How often an arm gave each status of the signal, the most frequent first."""
    counted = sorted(arm.seen.statuses.items(), key=lambda item: -item[1])
    return {status: n for status, n in counted if policy.classed(status) == signal}


def _count(arm: Served, policy: CanaryPolicy, signal: str) -> int:
    return arm.errors if signal == ERRORS else sum(_of(arm, policy, signal).values())


def _named(arm: Served, policy: CanaryPolicy, signal: str) -> str:
    found = list(_of(arm, policy, signal).items())[:_NAMED]
    words = [f"{'no answer' if status == NO_ANSWER else status} to {n:,}" for status, n in found]
    return f": {', '.join(words)}" if words else ""


def _share(n: int, of: int, named: str) -> str:
    return f"{n:,} of {of:,} requests ({percent(n / of)}{named})" if of else "0 of 0 requests"


def _content(judgement: Judgement) -> Figures:
    known = set(judgement.usual_kinds)
    canary, stable = (
        sum(n for kind, n in arm.seen.kinds.items() if kind not in known) / arm.seen.answers
        if known and arm.seen.answers
        else None
        for arm in (judgement.canary, judgement.stable)
    )
    points = rounded(100 * judgement.policy.margin(CONTENT))
    words = " and ".join(
        f"{whose} answers are {_kinds(arm.seen.kinds, arm.seen.answers)}"
        for whose, arm in (("the canary's", judgement.canary), ("stable's", judgement.stable))
    )
    limit = f"at most {points} points more of kinds that stable does not give"
    return Figures(canary, stable, limit, words)


def _kinds(kinds: Mapping[str, int], of: int) -> str:
    most = sorted(kinds.items(), key=lambda item: -item[1])[:_NAMED]
    return ", ".join(f"{kind} ({n:,} of {of:,})" for kind, n in most) or "not known yet"


def _size(judgement: Judgement) -> Figures:
    canary, stable = (
        arm.seen.size / arm.seen.answers if arm.seen.answers else None
        for arm in (judgement.canary, judgement.stable)
    )
    factor = rounded(1 + (judgement.policy.size_margin or 0.0))
    limit = f"from 1/{factor} to {factor} times stable's, give or take {FREE} bytes"
    words = "the size of good answers is not known for both yet"
    if canary is not None and stable is not None:
        words = f"the canary's answers have {canary:,.0f} bytes on average, stable's {stable:,.0f}"
    return Figures(canary, stable, limit, words)


def _latency(judgement: Judgement, signal: str) -> Figures:
    canary, stable = judgement.canary, judgement.stable
    own = next(each for each in judgement.policy.latencies if each.name == signal)
    values = [getattr(arm, own.statistic) for arm in (canary, stable)]
    limit = f"no quantile slower by more than {percent(own.margin)}"
    words = f"the {own.statistic} latency is not known for both yet"
    if values[0] is not None and values[1] is not None:
        spread = f"mean/p50/p90/p99 of the canary {_spread(canary)}, of stable {_spread(stable)}"
        words = f"{spread}: {own.statistic} {_slower(values[0], values[1])}"
    if canary.waiting and canary.oldest is not None:
        words += (
            f"; {canary.waiting:,} requests to the canary wait for an answer, the oldest for "
            f"{rounded(canary.oldest, 2)} s"
        )
    return Figures(values[0], values[1], limit, words)


def _spread(arm: Served) -> str:
    values = (arm.mean, arm.p50, arm.p90, arm.p99)
    return "/".join(rounded(1000 * (value or 0.0)) for value in values) + " ms"


def _slower(canary: float, stable: float) -> str:
    return relative(canary / stable - 1) if stable > 0 else "not comparable"
