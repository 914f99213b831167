"""The check that a reviewer reads, from a measurement and the spec's check."""

from specs.figures import percent, signed, significant
from specs.gates import AbsoluteCheck, PairedCheck
from specs.metrics import METRICS
from validators.model.decide import Gain, non_inferior, rows_to_decide
from validators.model.measure import UndefinedMetric
from validators.model.study import Measurement
from validators.report import Check, Interval, Location
from validators.verdict import Verdict

SpecCheck = AbsoluteCheck | PairedCheck
_SHOWN_CONFIDENCE = 0.95


def by_severity(verdict: Verdict, blocks: bool) -> Verdict:
    """FAIL and INCONCLUSIVE become WARN if the check does not block.

    ERROR stays: what cannot be evaluated must be fixed, whatever the result would have been.
    """
    if not blocks and verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        return Verdict.WARN
    return verdict


def name_of(check: SpecCheck) -> str:
    """Short, and the same in every run."""
    by = f", each {check.slice}" if check.slice else ""
    if isinstance(check, PairedCheck):
        margin = f"{check.not_worse_than_baseline_by:g}"
        return f"{check.metric} not worse than baseline by {margin}{by}"
    return f"{check.metric} {_bounds(check, 'at least', 'at most')}{by}"


def limit_of(check: SpecCheck) -> str:
    """The limit as people write it."""
    if isinstance(check, PairedCheck):
        return f"not worse by more than {check.not_worse_than_baseline_by:g}"
    return _bounds(check, ">=", "<=")


def _bounds(check: AbsoluteCheck, least: str, most: str) -> str:
    return " and ".join(
        f"{word} {limit:g}"
        for word, limit in ((least, check.at_least), (most, check.at_most))
        if limit is not None
    )


def answer(
    check: SpecCheck,
    found: Measurement | UndefinedMetric,
    subject: str | None,
    where: Location | None,
    file: str,
) -> Check:
    """The check, answered by a measurement."""
    if isinstance(found, UndefinedMetric):
        return unanswered(check, found.verdict, f"has no value: {found}", subject, where)
    try:
        if isinstance(check, PairedCheck):
            return _compared(check, found, subject, where, file)
        return _limited(check, found, subject, where, file)
    except UndefinedMetric as undefined:
        message = f"cannot be compared with the baseline's: {undefined}"
        return unanswered(check, undefined.verdict, message, subject, where, found)


def unanswered(
    check: SpecCheck,
    verdict: Verdict,
    message: str,
    subject: str | None,
    where: Location | None,
    found: Measurement | None = None,
    next_step: str | None = None,
) -> Check:
    """A check without an answer; the message follows the name of the metric."""
    blocks = check.severity == "block"
    return Check(
        name=name_of(check),
        verdict=by_severity(verdict, blocks),
        message=f"{check.metric} {message}.",
        subject=subject,
        limit=limit_of(check),
        observed=found.candidate if found else None,
        baseline=found.baseline if found else None,
        n=found.n if found else None,
        blocks=blocks,
        next_step=next_step,
        where=where,
    )


def _limited(
    check: AbsoluteCheck,
    found: Measurement,
    subject: str | None,
    where: Location | None,
    file: str,
) -> Check:
    value, blocks = found.candidate, check.severity == "block"
    low = check.at_least is not None and value < check.at_least
    high = check.at_most is not None and value > check.at_most
    interval = found.interval(_SHOWN_CONFIDENCE)
    limits = [limit for limit in (check.at_least, check.at_most) if limit is not None]
    message = (
        f"{check.metric} is {significant(value, limits)} on {found.n:,} rows"
        f"{f', {_text(interval)}' if interval else ''}; the limit is {limit_of(check)}"
    )
    if interval and any(interval.low <= limit <= interval.high for limit in limits):
        message += ", which lies within the interval: other rows could decide differently"
    return Check(
        name=name_of(check),
        verdict=by_severity(Verdict.FAIL if low or high else Verdict.PASS, blocks),
        message=message + ".",
        subject=subject,
        observed=value,
        limit=limit_of(check),
        interval=interval,
        n=found.n,
        blocks=blocks,
        next_step=(
            f"Improve the model, or change the limit in {file} in a separate commit."
            if low or high
            else None
        ),
        where=where,
    )


def _compared(
    check: PairedCheck,
    found: Measurement,
    subject: str | None,
    where: Location | None,
    file: str,
) -> Check:
    gain = found.gain(check.confidence)
    margin, blocks = check.not_worse_than_baseline_by, check.severity == "block"
    verdict = non_inferior(gain, margin)
    return Check(
        name=name_of(check),
        verdict=by_severity(verdict, blocks),
        message=f"{comparison(found, check.confidence)}: {_meaning(verdict, gain, margin)}.",
        subject=subject,
        observed=found.candidate,
        limit=limit_of(check),
        baseline=found.baseline,
        difference=difference(found),
        interval=difference_interval(gain, check.metric, check.confidence),
        n=found.n,
        blocks=blocks,
        next_step=_advice(verdict, gain, margin, file),
        where=where,
    )


def comparison(found: Measurement, confidence: float) -> str:
    """The values of baseline and candidate, their difference, its interval and the rows."""
    assert found.baseline is not None
    interval = difference_interval(found.gain(confidence), found.metric, confidence)
    return (
        f"{found.metric} {significant(found.baseline)} → {significant(found.candidate)}, "
        f"difference {signed(difference(found))} "
        f"({_text(interval, signs=True)}) on {found.n:,} rows"
    )


def difference(found: Measurement) -> float:
    """Candidate minus baseline, in the unit of the metric."""
    assert found.baseline is not None
    return found.candidate - found.baseline


def difference_interval(gain: Gain, metric: str, confidence: float) -> Interval:
    """The interval of candidate minus baseline, whichever direction is better."""
    low, high = gain.low, gain.high
    if not METRICS[metric].greater_is_better:
        low, high = -high, -low
    return Interval(low=low, high=high, confidence=confidence)


def _text(interval: Interval, signs: bool = False) -> str:
    write = signed if signs else significant
    return (
        f"{percent(interval.confidence)} interval {write(interval.low)} to {write(interval.high)}"
    )


def _meaning(verdict: Verdict, gain: Gain, margin: float) -> str:
    if verdict is Verdict.FAIL:
        return f"worse by more than {margin:g} over the whole interval"
    if verdict is Verdict.INCONCLUSIVE:
        return f"the rows do not show that it is not worse by more than {margin:g}"
    if gain.low > 0:
        return "better"
    if gain.high < 0:
        return f"worse, but by no more than {margin:g}"
    return f"not worse by more than {margin:g}"


def _advice(verdict: Verdict, gain: Gain, margin: float, file: str) -> str | None:
    if verdict is Verdict.FAIL:
        return (
            "Find the change that caused the loss; if it is intended, widen the margin in "
            f"{file} in a separate commit."
        )
    if verdict is not Verdict.INCONCLUSIVE:
        return None
    rows = rows_to_decide(gain, margin)
    if rows is None:
        return (
            "The difference is close to the margin, so more rows are unlikely to decide: improve "
            f"the model, or set a margin in {file} that you can defend."
        )
    return f"Evaluate on about {_rounded(rows):,} more rows, if the difference stays as it is."


def _rounded(rows: int) -> int:
    """To two digits, as it is an estimate."""
    return int(float(f"{rows:.1e}"))
