"""PURE. The verdict as one line of plain text, with the number that decided it."""

from collections.abc import Iterator, Mapping

from controller.machine.pipelines.plan import Plan
from controller.machine.runs.node_names import BASE_MODEL_GATE, MODEL_GATE
from controller.machine.runs.run import Run
from specs.figures import clip, signed, significant
from validators.render.common import limits_of
from validators.report import Check, MetricComparison, Report
from validators.verdict import Verdict

TOO_GOOD = "too good to be true"
"""The model gate's name for a score that real data hardly ever gives."""
LONGEST_MESSAGE = 140

_STOPS = {
    Verdict.FAIL: "stopped",
    Verdict.INCONCLUSIVE: "stopped, inconclusive",
    Verdict.ERROR: "stopped, the gate could not judge",
    Verdict.SKIPPED: "stopped, nothing was judged",
}


def passed(
    run: Run, reports: Mapping[str, Report], plan: Plan | None, *, compared: bool = True
) -> str:
    """The headline of a run that passed. `compared` is False for a local run, which has no
    baseline in production."""
    return "; ".join(_shown(run, reports, plan, compared))


def _shown(
    run: Run, reports: Mapping[str, Report], plan: Plan | None, compared: bool
) -> Iterator[str]:
    model = trusted(reports)
    if model is not None:
        yield from judged(model, run.baseline, compared=compared)
        if BASE_MODEL_GATE in reports:
            yield "the exam changed; this score is by the base branch's exam"
    elif "model" in run.verdicts:
        yield "all gates passed"
    elif run.verdicts:
        yield f"{_of_data(reports)}; no model gate"
    else:
        yield "all steps ran; there is no gate, so nothing was judged"
    for report in reports.values():
        if report.accepted:
            yield f"{report.subject} {report.accepted}"
    yield from _rules(run, plan)


def trusted(reports: Mapping[str, Report]) -> Report | None:
    """The report that counts for the model: that of the base branch's exam if the exam changed."""
    return reports.get(BASE_MODEL_GATE) or reports.get(MODEL_GATE)


def judged(report: Report, baseline: int | None, *, compared: bool = True) -> Iterator[str]:
    """Why a model passed its gate: the first metric that its checks name, and the warnings."""
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
    """The limits of all checks of a metric."""
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
        yield "no check is blocking"


def _of_data(reports: Mapping[str, Report]) -> str:
    every = [report for report in reports.values() if report.gate == "data"]
    found = [report for report in every if not report.accepted]
    if not found:
        return "no data gate passed" if every else "the data passed"
    names = ", ".join(dict.fromkeys(report.subject for report in found))
    checks = sum(len(report.checks) for report in found)
    return f"{names} passed {checks} check{'s' * (checks != 1)}"


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
    """What stopped a run, with its number; None if no report says so."""
    for name, report in arranged(reports).items():
        bad = [check for check in report.checks if not check.verdict.passes]
        bad = [check for check in bad if check.verdict is not Verdict.SKIPPED] or bad
        if report.verdict.passes:
            continue
        if not bad:
            return f"{_STOPS[report.verdict]}: {name} evaluated no check"
        first = max(bad, key=lambda check: check.verdict.rank)
        exam = "by the base branch's evaluation, " if name == BASE_MODEL_GATE else ""
        others = sum(not one.verdict.passes for one in _blocking(reports)) - 1
        more = f"; {others} more {'check' if others == 1 else 'checks'} did not pass" * (others > 0)
        return f"{_STOPS[first.verdict]}: {exam}{_missed(first, report, run)}{more}"
    return None


def _blocking(reports: Mapping[str, Report]) -> Iterator[Check]:
    for report in reports.values():
        yield from (
            check
            for check in report.checks
            if check.verdict is not Verdict.SKIPPED and not report.overrules(check)
        )


def _missed(check: Check, report: Report, run: Run) -> str:
    limit = f", limit {check.limit}" if check.limit else ""
    if isinstance(check.observed, float) and report.gate == "model":
        metric = metric_of(check, report)
        where = f" for {check.subject}" if check.subject else ""
        limits = limits_of(check)
        value, baseline = significant(check.observed, limits), check.baseline
        if baseline is None and check.subject is None:  # a check of a limit has no baseline
            baseline = next((m.baseline for m in report.metrics if m.metric == metric), None)
        if isinstance(baseline, float):
            against = f" against v{run.baseline}" if run.baseline else ""
            difference = signed(check.observed - baseline, limits)
            value = f"{significant(baseline, limits)} → {value} ({difference}){against}"
        return f"{metric} {value}{where}{limit}"
    message = check.message.replace("`", "")
    return clip(f"{report.subject}: {message}", LONGEST_MESSAGE).removesuffix(".")


def metric_of(check: Check, report: Report) -> str:
    """The metric of a check, by the check's name; a team's own metrics may have spaces."""
    names = (one.metric for one in report.metrics if check.name.startswith(f"{one.metric} "))
    return max(names, key=len, default=check.name.partition(" ")[0])


def checked(report: Report) -> tuple[MetricComparison, ...]:
    """The metrics that the gate's checks name, those of blocking checks first."""
    ordered = sorted(report.checks, key=lambda check: not check.blocks)
    names = dict.fromkeys(metric_of(check, report) for check in ordered)
    known = {one.metric: one for one in report.metrics}
    return tuple(known[name] for name in names if name in known)


def arranged(reports: Mapping[str, Report]) -> dict[str, Report]:
    """The reports in reading order: failed gates first, and model gates before data gates."""

    def place(name: str) -> tuple[bool, bool, int]:
        report = reports[name]
        return report.verdict.passes, report.gate != "model", -report.verdict.rank

    return {name: reports[name] for name in sorted(reports, key=place)}
