"""PURE. By whose rules a pull request is judged, and whether the exam itself changed."""

from collections.abc import Iterator, Mapping

from controller.machine.runs.plan import Plan
from controller.machine.runs.run import Run
from controller.reports.headline import BASE_EXAM, checked, limits_on
from controller.reports.links import Links
from controller.reports.rules import EXAM
from controller.reports.table import table
from validators.figures import clip, significant
from validators.render.markdown import code, escape
from validators.report import Report

MOST = 5


def rules_in_force(run: Run, plan: Plan | None, base: str, links: Links) -> Iterator[str]:
    """Whose gates these are, and where they were found if not where one would look. `base` is the
    name of the pull request's base branch, if it is known; nothing for a run that is of no pull
    request."""
    if run.accepted:
        who = escape(f"@{run.accepted.removeprefix('@')}")
        yield f"**Judged by its own rules, accepted by {who} for this commit.**"
    elif run.base is not None:
        branch = code(base) if base else "the base branch"
        yield f"Judged by the gates of {branch} ({links.commit(run.base)})" + (
            f"; {_elsewhere(run, plan, links)}." if plan and _is_elsewhere(run, plan) else "."
        )


def _is_elsewhere(run: Run, plan: Plan) -> bool:
    known = plan.policy_base is not None
    return known and (plan.policy_base, plan.policy_spec) != (run.base, run.spec)


def _elsewhere(run: Run, plan: Plan, links: Links) -> str:
    """Where the base's rules were found by the pipeline's name."""
    if plan.policy_base != run.base:
        was = links.commit(plan.policy_base or "")
        return f"it has no valid spec of this name any more, so these are the last it had ({was})"
    return f"there its spec is {code(plan.policy_spec)}, found by the pipeline's name"


def exam_change(run: Run, plan: Plan | None, reports: Mapping[str, Report]) -> Iterator[str]:
    """That what evaluates changed, what both evaluations say, and the way out where the base's
    does not pass."""
    rules = [change.rule for change in plan.policy] if plan else []
    parts = [rule.removeprefix(EXAM) for rule in rules if rule.startswith(EXAM)]
    twice = BASE_EXAM in run.nodes
    if not parts and not twice:
        return
    named = ", ".join(code(clip(part, 100)) for part in parts[:MOST]) or "what evaluates"
    more = f" and {len(parts) - MOST} more" if len(parts) > MOST else ""
    yield f"### ⚠️ The exam changed: {named}{more}"
    if not twice:
        yield "**A score of another exam says nothing about the one before it.**"
        return
    yield "**The candidate was also scored by the evaluation of the base branch.**" + (
        "" if run.nodes[BASE_EXAM].done else " That is not over yet."
    )
    if BASE_EXAM in reports:
        rows = [
            _row("the evaluation of this commit", reports.get("gate.model"), run, "gate.model"),
            _row("the evaluation of the base", reports[BASE_EXAM], run, BASE_EXAM),
        ]
        yield table(["", "Scored by", "Found", "Verdict"], rows)
    verdict = run.nodes[BASE_EXAM].verdict
    if verdict is not None and not verdict.passes and not run.live:
        yield _way_out()


def _row(who: str, report: Report | None, run: Run, gate: str) -> list[str]:
    verdict = run.nodes[gate].verdict if gate in run.nodes else None
    said = "nothing"
    for one in checked(report)[:1] if report else ():
        if report is not None and one.candidate is not None:
            value = significant(one.candidate, limits_on(one.metric, report))
            said = f"{one.metric} {value}"
    icon = "✅" if verdict is not None and verdict.passes else "❌"
    return [icon, who, escape(said), str(verdict or "none")]


def _way_out() -> str:
    return (
        "What the changed exam says counts only once somebody with the right has read the change "
        "and accepted it: then this commit is judged by its own rules. Or take the change of the "
        "exam out of this pull request, and let it be merged by itself first."
    )
