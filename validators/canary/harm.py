"""Whom a canary hurt: of the requests that it was judged by, how many failed or were slow."""

from validators.canary.judgement import Judgement, Served
from validators.canary.policy import ERRORS, ERRORS_AT_MOST
from validators.canary.state import State
from validators.canary.tail import tail_of
from validators.figures import milliseconds, percent


def harm(judgement: Judgement, state: State) -> str:
    """`14 of 412 requests to the canary failed (3.4 %; of stable's 0.03 %), ...`.

    Slow answers are counted where a latency is what convicts: beyond the time at which it shows.
    What convicts comes first.
    """
    canary = judgement.canary
    if not canary.requests:
        return "none, as no request had reached it"
    failed = f"{_failed(canary)} ({_shares(canary, judgement.stable)})"
    tails = (tail_of(state, one.signal) for one in judgement.evidence if one.guilty)
    slow = [
        f"{tail.canary.slower:,} of {tail.canary.answers:,} answers of the canary took longer than "
        f"{milliseconds(tail.allowed)}"
        for tail in tails
        if tail is not None
    ]
    errs = any(one.guilty and one.signal in (ERRORS, ERRORS_AT_MOST) for one in judgement.evidence)
    return "; ".join([failed, *slow] if errs else [*slow, failed])


def _failed(arm: Served) -> str:
    plural = "s" * (arm.requests != 1)
    return f"{arm.errors:,} of {arm.requests:,} request{plural} to the canary failed"


def _shares(canary: Served, stable: Served) -> str:
    rate = percent(canary.error_rate or 0.0)
    known = stable.error_rate is not None
    return f"{rate}; of stable's {percent(stable.error_rate or 0.0)}" if known else rate
