"""How many callers a canary hurt: the requests that failed or were slow, of those judged."""

from specs.figures import milliseconds, percent
from validators.canary.comparison import figures
from validators.canary.judgement import Judgement, Served, SignalJudgement
from validators.canary.latency_tail import convicting
from validators.canary.policy import ERRORS, ERRORS_AT_MOST
from validators.canary.state import CanaryState


def harm(judgement: Judgement, state: CanaryState) -> str:
    """`14 of 412 requests to the canary failed (3.4 %; stable: 0.03 %), ...`.

    What it was rolled back for comes first: requests that were refused, say, or too slow.
    """
    canary = judgement.canary
    if not canary.requests:
        return "none, as no request had reached it"
    failed = f"{_failed(canary)} ({_shares(canary, judgement.stable)})"
    guilty = [each for each in judgement.evidence if each.guilty]
    others = [each for each in guilty if each.signal not in (ERRORS, ERRORS_AT_MOST)]
    said = [_hurt(judgement, state, each) for each in others]
    return "; ".join([*said, failed] if len(others) == len(guilty) else [failed, *said])


def _hurt(judgement: Judgement, state: CanaryState, evidence: SignalJudgement) -> str:
    tail = convicting(state, evidence)
    if tail is None:
        return figures(judgement, evidence.signal).words
    return (
        f"{tail.canary.slower:,} of {tail.canary.answers:,} of the canary's answers took longer "
        f"than {milliseconds(tail.allowed)}"
    )


def _failed(arm: Served) -> str:
    plural = "s" * (arm.requests != 1)
    return f"{arm.errors:,} of {arm.requests:,} request{plural} to the canary failed"


def _shares(canary: Served, stable: Served) -> str:
    rate = percent(canary.error_rate or 0.0)
    known = stable.error_rate is not None
    return f"{rate}; stable: {percent(stable.error_rate or 0.0)}" if known else rate
