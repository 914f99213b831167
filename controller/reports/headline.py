"""PURE. The verdict in a line of plain text, with the number that it rests on."""

from collections.abc import Iterator, Mapping

from controller.machine.runs.plan import Plan
from controller.machine.runs.run import Run
from validators.figures import clip, signed, significant
from validators.render.common import limits_of
from validators.report import Check, MetricComparison, Report
from validators.verdict import Verdict

BASE_EXAM = "gate.model.base"
"""The gate of what the base branch's own evaluation says of the candidate."""
TOO_GOOD = "too good to be true"
"""What the model gate calls a score that real data hardly gives."""
LONGEST_MESSAGE = 140

_STOPS = {
    Verdict.FAIL: "stopped",
    Verdict.INCONCLUSIVE: "stopped, as it cannot be decided",
    Verdict.ERROR: "stopped, as it cannot be judged",
    Verdict.SKIPPED: "stopped, as nothing was judged",
}


def passed(
    run: Run, reports: Mapping[str, Report], plan: Plan | None, *, compared: bool = True
) -> str:
    """What a run that passed has shown. `compared` is False where no baseline is ever known."""
    return "; ".join(_shown(run, reports, plan, compared))


def _shown(
    run: Run, reports: Mapping[str, Report], plan: Plan | None, compared: bool
) -> Iterator[str]:
    model = trusted(reports)
    if model is not None:
        yield from judged(model, run.baseline, compared=compared)
        if BASE_EXAM in reports:
            yield "the exam changed, and this is by that of the base branch"
    elif "model" in run.verdicts:
        yield "all gates passed"
    elif run.verdicts:
        yield f"{_of_data(reports)}; no model gate"
    else:
        yield "all steps ran; it has no gate, so nothing was judged"
    yield from _rules(run, plan)


def trusted(reports: Mapping[str, Report]) -> Report | None:
    """What the model is known by: where the exam changed, by that of the base branch."""
    return reports.get(BASE_EXAM) or reports.get("gate.model")


def judged(report: Report, baseline: int | None, *, compared: bool = True) -> Iterator[str]:
    """What a model gate has shown that let the model pass: the first metric that it asks for, and
    what it warns of."""
    one = checked(report)[:1]
    yield _measured(one[0], report, baseline, compared) if one else "the model passed its gate"
    yield from _warned(report)


def _measured(one: MetricComparison, report: Report, baseline: int | None, compared: bool) -> str:
    limits = limits_on(one.metric, report)
    now = "undefined" if one.candidate is None else significant(one.candidate, limits)
    if one.candidate is not None and one.baseline is not None:
        moved = f"{one.metric} {significant(one.baseline, limits)} → {now}"
        difference = signed(one.candidate - one.baseline)
        return f"{moved} ({difference})" + (f" against v{baseline}" if baseline else "")
    if baseline is not None:
        return f"{one.metric} {now}, not compared with v{baseline}"
    return f"{one.metric} {now}, " + (
        "the first model" if compared else "not compared with another model"
    )


def limits_on(metric: str, report: Report) -> list[float]:
    """The numbers that checks of a metric hold it against."""
    checks = (check for check in report.checks if metric_of(check, report) == metric)
    return [limit for check in checks for limit in limits_of(check)]


def _warned(report: Report) -> Iterator[str]:
    warned = [check for check in report.checks if check.verdict is Verdict.WARN]
    slices = {check.subject for check in warned if check.subject and "=" in check.subject}
    more = any(check.subject and "=" not in check.subject for check in warned)
    if slices:
        many = f"more than {len(slices)} slices" if more else f"{len(slices)} slices"
        yield f"{many if more or len(slices) > 1 else '1 slice'} worse"
    others = sum(check.subject is None for check in warned)
    if any(check.name == TOO_GOOD for check in warned):
        yield f"⚠️ {TOO_GOOD}"
        others -= 1
    if others:
        yield f"{others} warning{'s' * (others > 1)}"
    if not report.enforces:
        yield "no check could stop it"


def _of_data(reports: Mapping[str, Report]) -> str:
    found = [report for report in reports.values() if report.gate == "data"]
    names = ", ".join(dict.fromkeys(report.subject for report in found))
    checks = sum(len(report.checks) for report in found)
    return f"{names} passed {checks} check{'s' * (checks != 1)}" if found else "the data passed"


def _rules(run: Run, plan: Plan | None) -> Iterator[str]:
    if plan is None or plan.policy_base is None:
        return
    by = f", accepted by @{run.accepted.removeprefix('@')}" if run.accepted else ""
    number = sum(change.loosens for change in plan.policy)
    yield loosened(number) + (by if number else "")


def loosened(number: int) -> str:
    """`no rule loosened`, `2 rules loosened`."""
    return f"{number or 'no'} rule{'s' * (number > 1)} loosened"


def stopped(run: Run, reports: Mapping[str, Report]) -> str | None:
    """What stopped a run, with its number; None where no report says."""
    for name, report in arranged(reports).items():
        bad = [check for check in report.checks if not check.verdict.passes]
        bad = [check for check in bad if check.verdict is not Verdict.SKIPPED] or bad
        if report.verdict.passes:
            continue
        if not bad:
            return f"{_STOPS[report.verdict]}: {name} evaluated no check"
        first = max(bad, key=lambda check: check.verdict.rank)
        exam = "by the evaluation of the base branch, " if name == BASE_EXAM else ""
        others = sum(not one.verdict.passes for one in _blocking(reports)) - 1
        more = f"; {others} more {'check' if others == 1 else 'checks'} not passed" * (others > 0)
        return f"{_STOPS[first.verdict]}: {exam}{_missed(first, report, run)}{more}"
    return None


def _blocking(reports: Mapping[str, Report]) -> Iterator[Check]:
    for report in reports.values():
        yield from (check for check in report.checks if check.verdict is not Verdict.SKIPPED)


def _missed(check: Check, report: Report, run: Run) -> str:
    limit = f", limit {check.limit}" if check.limit else ""
    if isinstance(check.observed, float) and report.gate == "model":
        metric = metric_of(check, report)
        where = f" for {check.subject}" if check.subject else ""
        limits = limits_of(check)
        value, baseline = significant(check.observed, limits), check.baseline
        if baseline is None and check.subject is None:  # of a limit, which needs none
            baseline = next((m.baseline for m in report.metrics if m.metric == metric), None)
        if isinstance(baseline, float):
            against = f" against v{run.baseline}" if run.baseline else ""
            difference = signed(check.observed - baseline, limits)
            value = f"{significant(baseline, limits)} → {value} ({difference}){against}"
        return f"{metric} {value}{where}{limit}"
    message = check.message.replace("`", "")
    return clip(f"{report.subject}: {message}", LONGEST_MESSAGE).removesuffix(".")


def metric_of(check: Check, report: Report) -> str:
    """The metric that a check is of, by its name; a team's own may have spaces."""
    names = (one.metric for one in report.metrics if check.name.startswith(f"{one.metric} "))
    return max(names, key=len, default=check.name.partition(" ")[0])


def checked(report: Report) -> tuple[MetricComparison, ...]:
    """The metrics that the gate's checks name, those of checks that block first."""
    ordered = sorted(report.checks, key=lambda check: not check.blocks)
    names = dict.fromkeys(metric_of(check, report) for check in ordered)
    known = {one.metric: one for one in report.metrics}
    return tuple(known[name] for name in names if name in known)


def arranged(reports: Mapping[str, Report]) -> dict[str, Report]:
    """What stops a candidate first; then the model's gates before those of the data."""

    def place(name: str) -> tuple[bool, bool, int]:
        report = reports[name]
        return report.verdict.passes, report.gate != "model", -report.verdict.rank

    return {name: reports[name] for name in sorted(reports, key=place)}
