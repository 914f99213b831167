"""Before a rollout: what its traffic can detect, and what no judge could detect with it."""

from math import log
from typing import Final

from validators.canary import families
from validators.canary.bets import RATIOS, Outcome, least, log_mixture, ratio
from validators.canary.evidence import duration
from validators.canary.policy import ERRORS, Policy
from validators.canary.state import State
from validators.figures import percent, rounded
from validators.report import Value

SHARES: Final = (0.1, 0.25, 0.5)


class Forecast(Value):
    """Expected times in seconds at a steady rate; None where it would take beyond all patience."""

    rate: float
    """Requests per second, of both arms."""
    share: float
    base_error: float
    deadline: float
    doubling_limit: float | None
    """Before this no test with these chances of error finds doubled errors, on average."""
    doubling: float | None
    """When this judge finds doubled errors."""
    found_by_deadline: float | None
    """The least error rate of a canary that is found by the deadline."""
    promotion: float | None
    """When a canary that is no different is promoted, as far as errors decide it."""
    advice: str | None

    @property
    def text(self) -> str:
        """The forecast in two or three sentences."""
        base, found = percent(self.base_error), self.found_by_deadline
        what = "nothing" if found is None else f"{base} -> {percent(found)} errors"
        who = f"{percent(self.share)} of {rounded(self.rate)} requests/s"
        lines = [f"{who} finds {what} by the deadline of {duration(self.deadline)}."]
        if self.doubling_limit is not None:
            lines.append(
                f"A doubling of {base} takes {_span(self.doubling)} (no valid test finds it "
                f"before {duration(self.doubling_limit)})."
            )
        lines.append(
            f"A canary that errs as stable does is promoted after {_span(self.promotion)}."
        )
        return " ".join([*lines, self.advice] if self.advice else lines)


def forecast(rate: float, rho: float, base_error: float, policy: Policy) -> Forecast:
    """What a share `rho` of `rate` requests per second can tell about errors by the deadline.

    Raises ValueError when there is no traffic to speak of, or no such share or rate of errors.
    """
    if rate <= 0 or not 0 < rho < 1 or not 0 <= base_error < 1:
        raise ValueError("expected a rate above 0, a share in (0, 1) and an error rate in [0, 1)")
    worse = min(2 * base_error, 1.0)
    information = informed(rho, base_error, worse)
    limit = log(1 / policy.false_rollback) / information / rate if information > 0 else None
    return Forecast(
        rate=rate,
        share=rho,
        base_error=base_error,
        deadline=policy.deadline,
        doubling_limit=limit,
        doubling=_detection(rate, rho, base_error, worse, policy),
        found_by_deadline=_found(rate, rho, base_error, policy),
        promotion=_promotion(rate, rho, base_error, policy),
        advice=_advice(rate, rho, base_error, policy),
    )


def informed(rho: float, base: float, worse: float) -> float:
    """I(A; Y): what a request's outcome tells of its arm, in nats.

    A test that errs with a chance of alpha whatever the common rate needs at least
    log(1 / alpha) / I requests on average.
    """
    mixed = rho * worse + (1 - rho) * base
    return rho * _divergence(worse, mixed) + (1 - rho) * _divergence(base, mixed)


def _divergence(p: float, q: float) -> float:
    terms = ((p, q), (1 - p, 1 - q))
    return sum(a * log(a / b) for a, b in terms if a > 0)


def _detection(rate: float, rho: float, base: float, worse: float, policy: Policy) -> float | None:
    events = [Outcome(rho, True, 1.0, rho * worse), Outcome(rho, False, 1.0, (1 - rho) * base)]
    gains, weights = ratio(events), [-log(len(RATIOS))] * len(RATIOS)
    # The mean over signals and the half that restarts cost this much when only errors speak.
    shared = log(sum(policy.weights)) + (log(2) if policy.restarts else 0.0)
    limit = shared - log(policy.false_rollback)
    requests = least(lambda n: log_mixture(weights, [n * gain for gain in gains]) >= limit)
    return None if requests is None else requests / rate


def _found(rate: float, rho: float, base: float, policy: Policy) -> float | None:
    """The least rate, to a thousandth of the way from the base to 1 (in logarithms)."""
    low = max(base, 1e-6)

    def found(step: int) -> bool:
        seconds = _detection(rate, rho, base, low ** (1 - step / 1024), policy)
        return seconds is not None and seconds <= policy.deadline

    step = least(found, doublings=10)
    return None if step is None else low ** (1 - step / 1024)


def _promotion(rate: float, rho: float, base: float, policy: Policy) -> float | None:
    if not policy.errors_margin:
        return None
    state = State(policy=policy, began=0.0, base_errors=base)
    each = [
        Outcome(rho, canary, score, share * chance)
        for canary, share in ((False, 1 - rho), (True, rho))
        for score, chance in ((1.0, base), (0.0, 1 - base))
    ]
    gains, weights = families.safety(state, ERRORS, each), families.safety_prior(state, ERRORS)
    limit = -log(policy.false_promotion)
    requests = least(lambda n: log_mixture(weights, [n * gain for gain in gains]) >= limit)
    return None if requests is None else requests / rate


def _advice(rate: float, rho: float, base: float, policy: Policy) -> str | None:
    """A share or a deadline with which errors promote, and worse by the margin is found."""
    if not policy.errors_margin:
        return None
    worse = min(base + policy.errors_margin, 1.0)

    def needed(share: float) -> float | None:
        times = (
            _promotion(rate, share, base, policy),
            _detection(rate, share, base, worse, policy),
        )
        known = [time for time in times if time is not None]
        return max(known) if len(known) == len(times) else None

    now = needed(rho)
    if now is not None and now <= policy.deadline:
        return None
    longer = f" or a deadline of {duration(now)}" if now is not None else ""
    for share in SHARES:
        time = needed(share)
        if share > rho and time is not None and time <= policy.deadline:
            return f"Use {percent(share)}{longer}."
    return f"Use a deadline of {duration(now)}." if now is not None else "Use a wider margin."


def _span(seconds: float | None) -> str:
    return "more time than there is" if seconds is None else duration(seconds)
