"""Checks as the report has them, from what a rule found. Pure."""

from specs.dataset_checks import Rule
from specs.figures import number, percent
from validators.report import Check, Interval
from validators.verdict import Verdict


def found(
    rule: Rule,
    name: str,
    message: str,
    *,
    passes: bool,
    subject: str | None = None,
    observed: float | str | None = None,
    baseline: float | str | None = None,
    limit: str | None = None,
    interval: Interval | None = None,
    n: int | None = None,
    next_step: str | None = None,
) -> Check:
    """The check of a rule that could be evaluated."""
    blocks = rule.severity == "critical"
    missed = Verdict.FAIL if blocks else Verdict.WARN
    return Check(
        name=name,
        verdict=Verdict.PASS if passes else missed,
        message=message,
        subject=subject,
        observed=observed,
        baseline=baseline,
        limit=limit,
        interval=interval,
        n=n,
        blocks=blocks,
        next_step=None if passes else next_step,
    )


def undecided(name: str, why: str, *, subject: str | None = None, n: int | None = None) -> Check:
    """The check of a rule that there is too little evidence for. It warns: a first version must be
    able to pass."""
    message = f"inconclusive: {why}"
    return Check(
        name=name, verdict=Verdict.WARN, message=message, subject=subject, n=n, blocks=False
    )


def impossible(name: str, why: str, next_step: str, subject: str | None = None) -> Check:
    """The check of a rule that does not fit the data."""
    return Check(
        name=name, verdict=Verdict.ERROR, message=why, subject=subject, next_step=next_step
    )


def share_of(part: int, whole: int) -> str:
    """`12 of 3,400 rows (0.35%)`."""
    share = f" ({percent(part / whole)})" if whole else ""
    return f"{number(part)} of {number(whole)} row{'s' * (whole != 1)}{share}"
