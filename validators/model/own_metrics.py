"""Judging the team's own numbers: against limits, and against the baseline's."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from specs.figures import clip, signed, significant
from specs.gates import AbsoluteCheck, PairedCheck
from specs.metrics import OWN, is_own
from validators.model.baseline import SAME_MODEL
from validators.model.checks import SpecCheck, by_severity, limit_of, name_of, unanswered
from validators.model.measure import UndefinedMetric
from validators.model.own_metric_files import Numbers, gain_of, number_of, read_numbers
from validators.model.request import BaselineNumbers, ModelGateRequest, NoBaseline, NoCandidate
from validators.model.rows import Unusable
from validators.report import Check, Location, MetricComparison, Report
from validators.verdict import Verdict

NAME: Final = "metrics"
_UNASKED: Final = 20
"""How many numbers a report shows that no check names."""


class _Rival(NamedTuple):
    """The baseline's numbers, or the verdict of comparisons without them."""

    numbers: Numbers | None = None
    verdict: Verdict = Verdict.SKIPPED
    reason: str = ""
    next_step: str | None = None
    compared: bool = True
    """Whether the candidate is compared with them; not if it is the same model."""


def judge_numbers(request: ModelGateRequest) -> Report:
    """Evaluate the checks on the team's own numbers in the files that the request names."""
    given = request.numbers
    if given is None or isinstance(given, NoCandidate):
        return _unmeasured(request, _not_there(request, given))
    try:
        ours = read_numbers(given)
    except Unusable as problem:
        check = Check(
            name=NAME,
            verdict=problem.verdict,
            message=f"The candidate's numbers cannot be judged: {problem}.",
            next_step=_fix(request),
        )
        return _unmeasured(request, check)
    rival = _rival(request)
    checks = [_answer(request, check, where, ours, rival) for check, where in _placed(request)]
    numbers = sum(
        isinstance(one, int | float) and not isinstance(one, bool) for one in ours.values()
    )
    usable = f"{numbers:,} of the team's own numbers in `{request.gate.metrics}`."
    return Report(
        gate="model",
        subject=request.subject,
        exam=request.exam,
        baseline=_held_against(request, rival),
        checks=(Check(name=NAME, verdict=Verdict.PASS, message=usable), *checks),
        enforces=request.enforces,
        provenance=request.provenance,
        notes=tuple(_notes(request, ours, rival)),
        metrics=tuple(_metrics(request, ours, rival.numbers)),
    )


def _placed(request: ModelGateRequest) -> list[tuple[SpecCheck, Location | None]]:
    where = [*request.where, *[None] * len(request.gate.checks)]
    both = zip(request.gate.checks, where, strict=False)
    return [(check, place) for check, place in both if is_own(check.metric)]


def _fix(request: ModelGateRequest) -> str:
    return (
        f"Make the step that writes {request.gate.metrics} write one JSON object of numbers, or "
        f"fix what gates.model in {request.file} says about them."
    )


def _not_there(request: ModelGateRequest, none: NoCandidate | None) -> Check:
    failed = none is not None and none.kind == "could_not_run"
    reason = none.reason.rstrip(".") if none else "no step of the candidate writes them"
    fit = "Make the candidate work with that evaluation; its output says why it does not."
    return Check(
        name=NAME,
        verdict=Verdict.INCONCLUSIVE if failed else Verdict.ERROR,
        message=f"There are no numbers to judge: {reason}.",
        next_step=(none.next_step if none else "") or (fit if failed else _fix(request)),
    )


def _unmeasured(request: ModelGateRequest, why: Check) -> Report:
    """A report with every check on these numbers, none of them evaluated."""
    reason = "was not measured: the candidate's numbers cannot be used"
    skipped = [
        unanswered(check, Verdict.SKIPPED, reason, None, where) for check, where in _placed(request)
    ]
    return Report(
        gate="model",
        subject=request.subject,
        exam=request.exam,
        checks=(why, *skipped),
        provenance=request.provenance,
    )


def _rival(request: ModelGateRequest) -> _Rival:
    """The numbers to compare with."""
    theirs = request.baseline_numbers or request.baseline
    if isinstance(theirs, NoBaseline):
        if theirs.kind == "first_model":
            return _Rival(
                reason=theirs.reason or "there is no baseline yet: this is the first model"
            )
        reason = theirs.reason.rstrip(".") or "no reason given"
        return _Rival(
            verdict=Verdict.INCONCLUSIVE,
            reason=f"the baseline has no numbers of its own: {reason}",
            next_step=(
                "Until a model whose commit writes them is in production, use an absolute limit "
                "(at_least or at_most), and set `severity: warn` on the comparison in "
                f"{request.file}."
            ),
        )
    if not isinstance(theirs, BaselineNumbers):
        return _Rival(verdict=Verdict.INCONCLUSIVE, reason="the baseline has no numbers of its own")
    try:
        numbers = read_numbers(theirs.path)
    except Unusable as problem:
        reason = f"the baseline's numbers cannot be used: {problem}"
        return _Rival(verdict=Verdict.INCONCLUSIVE, reason=reason)
    if request.same_model:
        return _Rival(numbers, reason=SAME_MODEL, compared=False)
    return _Rival(numbers)


def _held_against(request: ModelGateRequest, rival: _Rival) -> str:
    theirs = request.baseline_numbers
    return theirs.subject if rival.numbers and isinstance(theirs, BaselineNumbers) else ""


def _answer(
    request: ModelGateRequest,
    check: SpecCheck,
    where: Location | None,
    ours: Numbers,
    rival: _Rival,
) -> Check:
    try:
        value = number_of(ours, check.metric)
    except UndefinedMetric as undefined:
        message = f"has no value: {undefined.args[0]}".removesuffix("?")
        return unanswered(check, undefined.verdict, message, None, where, next_step=_fix(request))
    if isinstance(check, AbsoluteCheck):
        return _limited(check, value, where, request.file)
    if rival.numbers is None or not rival.compared:
        message = f"was not compared: {rival.reason}"
        found = unanswered(check, rival.verdict, message, None, where, next_step=rival.next_step)
        return found.model_copy(update={"observed": value})
    try:
        reference = number_of(rival.numbers, check.metric)
    except UndefinedMetric as undefined:
        # The baseline's step may write other numbers, which is not an error of the candidate.
        message = f"cannot be compared with the baseline's: {undefined}".removesuffix("?")
        found = unanswered(check, Verdict.INCONCLUSIVE, message, None, where)
        return found.model_copy(update={"observed": value})
    return _compared(check, value, reference, where, request.file)


def _limited(check: AbsoluteCheck, value: float, where: Location | None, file: str) -> Check:
    low = check.at_least is not None and value < check.at_least
    high = check.at_most is not None and value > check.at_most
    limits = [limit for limit in (check.at_least, check.at_most) if limit is not None]
    blocks = check.severity == "block"
    return Check(
        name=name_of(check),
        verdict=by_severity(Verdict.FAIL if low or high else Verdict.PASS, blocks),
        message=f"{check.metric} is {significant(value, limits)}; the limit is {limit_of(check)}.",
        observed=value,
        limit=limit_of(check),
        blocks=blocks,
        next_step=(
            f"Improve the model, or change the limit in {file} in a separate commit."
            if low or high
            else None
        ),
        where=where,
    )


def _compared(
    check: PairedCheck, ours: float, theirs: float, where: Location | None, file: str
) -> Check:
    """By the values alone: there is no interval."""
    blocks, margin = check.severity == "block", check.not_worse_than_baseline_by
    if check.better is None:
        message = f"cannot be compared: nothing in {file} says whether higher or lower is better"
        return unanswered(check, Verdict.ERROR, message, None, where)
    gain = gain_of(check.better, ours, theirs)
    worse = -gain > Decimal(repr(margin))
    difference = float(gain if check.better == "higher" else -gain)
    meaning = "better" if gain > 0 else "the same" if not gain else "worse"
    if gain < 0:
        meaning += f" by {'more' if worse else 'no more'} than {margin:g}"
    return Check(
        name=name_of(check),
        verdict=by_severity(Verdict.FAIL if worse else Verdict.PASS, blocks),
        message=(
            f"{check.metric} {significant(theirs)} → {significant(ours)}, difference "
            f"{signed(difference, [margin, -margin])}: {meaning} ({check.better} is better; the "
            "team's own number, without an interval)."
        ),
        observed=ours,
        baseline=theirs,
        difference=difference,
        limit=limit_of(check),
        blocks=blocks,
        next_step=(
            f"Find the change that caused the loss; if it is intended, widen the margin in {file} "
            "in a separate commit."
            if worse
            else None
        ),
        where=where,
    )


def _notes(request: ModelGateRequest, ours: Numbers, rival: _Rival) -> Iterator[str]:
    yield (
        f"{OWN}NAME: the team's own numbers, as written by the step that makes "
        f"{request.gate.metrics}. How they were measured is unknown, so they have no interval: "
        "comparisons go by the values alone."
    )
    if rival.numbers is not None and not rival.compared and dict(ours) != dict(rival.numbers):
        yield (
            "The same model got different numbers: its evaluation is not deterministic, or is not "
            "the baseline's."
        )
    elif rival.numbers is None and any(isinstance(c, PairedCheck) for c, _ in _placed(request)):
        yield f"{OWN}NAME: nothing was compared: {rival.reason}."


def _metrics(
    request: ModelGateRequest, ours: Numbers, theirs: Numbers | None
) -> Iterator[MetricComparison]:
    """The numbers that checks name, then some of the others."""
    asked: dict[str, list[SpecCheck]] = {}
    for check, _ in _placed(request):
        asked.setdefault(check.metric, []).append(check)
    for metric, checks in asked.items():
        yield _measured(metric, ours, theirs, checks)
    others = [f"{OWN}{name}" for name in ours if f"{OWN}{name}" not in asked]
    shown = [
        one for name in others if (one := _measured(name, ours, theirs, ())).candidate is not None
    ]
    yield from shown[:_UNASKED]


def _measured(
    metric: str, ours: Numbers, theirs: Numbers | None, checks: list[SpecCheck] | tuple[()]
) -> MetricComparison:
    values: list[float | None] = []
    reasons = []
    for who, numbers in (("candidate", ours), ("baseline", theirs)):
        try:
            values.append(None if numbers is None else number_of(numbers, metric))
        except UndefinedMetric as undefined:
            values.append(None)
            reasons.append(f"{who}: {undefined}")
    mine, other = values
    apart = None if mine is None or other is None else gain_of("higher", mine, other)
    return MetricComparison(
        metric=clip(metric),
        candidate=mine,
        baseline=other,
        difference=None if apart is None else float(apart),
        greater_is_better=_direction(checks),
        n=None,
        note="; ".join(reasons) or None,
        checked=bool(checks),
    )


def _direction(checks: list[SpecCheck] | tuple[()]) -> bool | None:
    """Whether higher is better, if the checks tell."""
    said = {check.better for check in checks if isinstance(check, PairedCheck) and check.better}
    if said:
        return said == {"higher"} if len(said) == 1 else None
    limits = {
        name
        for check in checks
        if isinstance(check, AbsoluteCheck)
        for name in ("at_least", "at_most")
        if getattr(check, name) is not None
    }
    return limits == {"at_least"} if len(limits) == 1 else None
