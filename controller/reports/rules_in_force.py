"""PURE. Whose rules a pull request is judged by, and whether the exam itself changed."""

from collections.abc import Iterator, Mapping

from controller.machine.pipelines.plan import Plan
from controller.machine.runs.node_names import BASE_MODEL_GATE, MODEL_GATE
from controller.machine.runs.run import Run
from controller.reports.headline import checked, limits_on
from controller.reports.links import Links
from controller.reports.table import table
from specs.figures import clip, significant
from validators.render.markdown import code, escape
from validators.report import Report

MOST = 5


def rules_in_force(run: Run, plan: Plan | None, base: str, links: Links) -> Iterator[str]:
    """Whose gates judged the run, and where they were found if not at the expected path. `base` is
    the name of the pull request's base branch, if known. Nothing for a run without a pull
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
    """Where the base branch's rules were found by the pipeline's name."""
    if plan.policy_base != run.base:
        was = links.commit(plan.policy_base or "")
        return (
            f"it no longer has a valid spec of this name, so these are its last valid rules ({was})"
        )
    return f"its spec there is {code(plan.policy_spec)}, found by the pipeline's name"


def exam_change(run: Run, plan: Plan | None, reports: Mapping[str, Report]) -> Iterator[str]:
    """Says that the exam changed, what both exams found, and what to do if the base branch's does
    not pass."""
    policy = plan.policy if plan else ()
    parts = [change.exam_part for change in policy if change.exam_part is not None]
    twice = BASE_MODEL_GATE in run.nodes
    if not parts and not twice:
        return
    named = ", ".join(code(clip(part, 100)) for part in parts[:MOST]) or "what evaluates"
    more = f" and {len(parts) - MOST} more" if len(parts) > MOST else ""
    yield f"### ⚠️ The exam changed: {named}{more}"
    if not twice:
        yield "**Scores from different exams cannot be compared.**"
        return
    yield "**The candidate is also scored by the base branch's evaluation.**" + (
        "" if run.nodes[BASE_MODEL_GATE].done else " That has not finished yet."
    )
    if BASE_MODEL_GATE in reports:
        rows = [
            _row("this commit's evaluation", reports.get(MODEL_GATE), run, MODEL_GATE),
            _row("the base branch's evaluation", reports[BASE_MODEL_GATE], run, BASE_MODEL_GATE),
        ]
        yield table(["", "Scored by", "Score", "Verdict"], rows)
    verdict = run.nodes[BASE_MODEL_GATE].verdict
    if verdict is not None and not verdict.passes and not run.live:
        yield _how_to_proceed()


def _row(who: str, report: Report | None, run: Run, gate: str) -> list[str]:
    verdict = run.nodes[gate].verdict if gate in run.nodes else None
    score = "none"
    for one in checked(report)[:1] if report else ():
        if report is not None and one.candidate is not None:
            value = significant(one.candidate, limits_on(one.metric, report))
            score = f"{one.metric} {value}"
    icon = "✅" if verdict is not None and verdict.passes else "❌"
    return [icon, who, escape(score), str(verdict or "none")]


def _how_to_proceed() -> str:
    return (
        "The changed exam counts only once somebody who may accept rule changes has reviewed and "
        "accepted it; this commit is then judged by its own rules. Otherwise, move the change to "
        "the exam into a pull request of its own and merge that first."
    )
