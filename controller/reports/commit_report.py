"""PURE. Builds the report on a commit from the facts of its run, verdict first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from controller.machine.actions import ReportCommit
from controller.machine.error_text import without_traceback
from controller.machine.pipelines.plan import Plan
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import Run
from controller.reports import headline
from controller.reports.annotations import of_gates, of_problems
from controller.reports.changes import PreviousRun, what_changed
from controller.reports.escaping import fenced
from controller.reports.forge import LONGEST, CommitReport, Conclusion, name_of
from controller.reports.gates import gates, not_judged
from controller.reports.links import NOWHERE, Links
from controller.reports.next_steps import failed_step, next_steps
from controller.reports.plan import policy, steps_of
from controller.reports.rules import count
from controller.reports.rules_in_force import exam_change, rules_in_force
from controller.reports.run_summary import DataSince, made_from, run_summary
from controller.reports.steps import steps
from controller.reports.trend import PastMeasurement, trend
from specs.figures import clip
from validators.render.markdown import code, escape, prose
from validators.report import Report

LONGEST_TITLE = 200
MOST_FAILURES = 3

_ICONS: Mapping[Conclusion | None, str] = {
    None: "⏳",
    "success": "✅",
    "failure": "❌",
    "neutral": "⏭️",
    "cancelled": "⏹️",
    "action_required": "✋",
}
_WORST_FIRST: Sequence[Conclusion | None] = ("failure", "action_required", "cancelled", None)


class WorseSibling(NamedTuple):
    """Another open pull request with the same head and base, whose latest run ended worse or is
    still running."""

    pull: int
    run: str
    outcome: str
    """What its run did, as the rest of a sentence: `was stopped`."""
    conclusion: Conclusion | None
    """None while it is not known yet."""


class ReportContext(NamedTuple):
    """What a report needs besides the run: links into its repository, and earlier runs."""

    links: Links = NOWHERE
    base: str = ""
    """The name of the pull request's base branch."""
    past: Sequence[PastMeasurement] = ()
    """What the model gate measured for the last versions, oldest first."""
    before: PreviousRun = PreviousRun()
    """What is known of the run that the plan is compared with."""
    worse: WorseSibling | None = None
    since: DataSince | None = None
    """How the data changed, for a run without a pull request."""


def build(
    action: ReportCommit,
    run: Run | None,
    graph: Graph | None,
    reports: Mapping[str, Report],
    plan: Plan | None = None,
    again: str | None = None,
    context: ReportContext = ReportContext(),  # noqa: B008 - a constant value
) -> CommitReport:
    """The report that `action` asks for.

    `run`, `graph`, `reports` (by gate) and `plan` are those of the action's run; only pull requests
    have a plan, also one that is held and has no run yet. `again` is the command that repeats a
    local run, shown instead of the commands that need a controller.

    At most 65,535 characters. Passing checks are cut first; the text then names the command that
    shows all of them.
    """
    ours = run if run is not None and run.commit == action.commit else None
    conclusion = _conclusion(action, run)
    title = _title(action, ours, reports, plan, again)
    if context.worse is not None:
        conclusion = context.worse.conclusion
        title = f"#{context.worse.pull} with the same head {context.worse.outcome}; here: {title}"
    title = clip(title.partition("\n")[0], LONGEST_TITLE)
    head = [f"## {_ICONS[conclusion]} {escape(title)}"]
    head += _worse(context.worse, action)
    head += _more_text(action)
    tail: list[str] = []
    if ours is not None:
        head.append(run_summary(ours, graph, here=again is not None, since=context.since))
        head += [*_judged(ours, reports, plan, context), *_failures(ours)]
        head += not_judged(ours, graph, reports) if not ours.live else ()
        tail = list(_tail(ours, graph, reports, plan, context))
    elif plan is not None and action.state == "held":
        check = name_of(action.pipeline, "policy", action.scope)
        head += policy(plan, check=check if action.pull is not None else "")
        tail = [steps_of(plan)]
    head += next_steps(action, run, graph, again)
    room = LONGEST - sum(len(part) + 2 for part in (*head, *tail)) - 2
    whole = again or f"headgate show {action.run}"
    shown = gates(reports, graph, context.links, whole, room)
    text = "\n\n".join(part for part in (*head, *shown, *tail) if part) + "\n"
    return CommitReport(
        repository=action.repository,
        commit=action.commit,
        pipeline=action.pipeline,
        scope=action.scope,
        asks=action.asks,
        state=action.state,
        title=title,
        run=action.run,
        text=text if len(text) <= LONGEST else text[: LONGEST - 2] + "…\n",
        conclusion=conclusion,
        annotations=of_problems(action.problems)
        if action.state == "invalid"
        else of_gates(tuple(reports.values())),
        pull=action.pull,
        step=action.step,
    )


def _title(
    action: ReportCommit,
    run: Run | None,
    reports: Mapping[str, Report],
    plan: Plan | None,
    again: str | None,
) -> str:
    """The result that decided; for a failed run, the step and the reason without its output."""
    if run is None:
        told = plan is not None and plan.policy_base is not None
        number = count(plan.policy) if plan and told else 0
        return f"{action.title}; {headline.loosened(number)}" if told else action.title
    match action.state:
        case "passed":
            return headline.passed(run, reports, plan, compared=again is None)
        case "stopped":
            return headline.stopped(run, reports) or action.title
        case "failed" if name := failed_step(run):
            return f"{run.id} failed: {name}: {without_traceback(_reason(run, name))}"
        case _:
            return action.title


def _conclusion(action: ReportCommit, run: Run | None) -> Conclusion | None:
    """What the report means for a merge.

    A commit that needs no run gets the result of the run that covers it. Otherwise a change to the
    README would be enough to pass a model that its gate has stopped.
    """
    match action.state:
        case "running":
            return None
        case "passed" | "accepted":
            return "success"
        case "cancelled":
            return "cancelled"
        case "held":
            return "action_required"
        case "skipped" if action.run is None or (run is not None and run.outcome == "passed"):
            return "neutral"
        case "skipped" if run is not None and run.live:
            return "cancelled"  # not known yet, and nothing will report on this commit again
        case "failed" | "stopped" | "skipped" | "invalid":
            return "failure"


def is_worse(one: Conclusion | None, other: Conclusion | None) -> bool:
    """Whether `one` is a worse result for a merge than `other`."""

    def place(conclusion: Conclusion | None) -> int:
        known = conclusion in _WORST_FIRST
        return -_WORST_FIRST.index(conclusion) if known else -len(_WORST_FIRST)

    return place(one) > place(other)


def _worse(worse: WorseSibling | None, action: ReportCommit) -> Iterator[str]:
    if worse is not None:
        decided = worse.conclusion is not None
        counts = "the worse result counts" if decided else "it stays open until both have ended"
        here = f"#{action.pull}" if action.pull is not None else "this one"
        yield (
            f"**This check shows the result of #{worse.pull}**, a pull request with the same head "
            f"and base: its run {code(worse.run)} {worse.outcome}. Both share one check on GitHub, "
            f"so {counts}. The rest of this report is about {here} only."
        )


def _more_text(action: ReportCommit) -> Iterator[str]:
    """The action's own text: sentences of ours that contain foreign names, or program output."""
    if action.state in ("held", "accepted"):
        yield from map(prose, filter(None, action.text.split("\n\n")))
    elif action.text:
        yield fenced(action.text)


def _judged(
    run: Run,
    reports: Mapping[str, Report],
    plan: Plan | None,
    context: ReportContext,
) -> Iterator[str]:
    """Whose rules and exam judge the run, the trend of its metrics, and the rules it changes."""
    yield from rules_in_force(run, plan, context.base, context.links)
    model = headline.trusted(reports)
    if not run.live and model is not None:
        yield from trend(model, context.past)
    yield from exam_change(run, plan, reports)
    yield from policy(plan, run, links=context.links) if plan else ()


def _failures(run: Run) -> Iterator[str]:
    """The last output of the steps that failed."""
    builds = run.built
    failed: list[tuple[str, str]] = [(one.what, one.failed) for one in builds if one.failed]
    nodes = [(name, node) for name, node in run.nodes.items() if not node.unbuilt]
    failed += [(name, node.failed) for name, node in nodes if node.failed]
    for name, said in failed[:MOST_FAILURES]:
        yield f"{code(name)} failed:\n\n{fenced(without_traceback(said))}"
    if len(failed) > MOST_FAILURES:
        yield f"{len(failed) - MOST_FAILURES} more failed: {code(f'headgate show {run.id}')}"


def _reason(run: Run, name: str) -> str:
    """Why a step failed, or why its environment could not be built."""
    if name in run.nodes:
        return run.nodes[name].failed or ""
    return next((each.failed for each in run.built if each.failed), "")


def _tail(
    run: Run,
    graph: Graph | None,
    reports: Mapping[str, Report],
    plan: Plan | None,
    context: ReportContext,
) -> Iterator[str]:
    """The end of the report: what changed, the steps, the inputs."""
    if plan is not None and run.live:
        yield steps_of(plan, run)  # includes the inputs
        return
    moved = [*what_changed(plan, reports, context.before, context.links, run.base)] if plan else []
    yield from moved
    nodes = plan.nodes if plan else ()
    why = {node.name: node.reasons for node in nodes if node.what == "run"}
    sources = made_from(run, graph, context.links, compared=bool(moved))
    story = [*steps(run, graph, planned=run.live, why=why), *sources]
    if run.outcome in ("passed", "stopped"):
        inner = "\n\n".join(story)
        name = "Steps and inputs"
        yield f"<details><summary>{name}</summary>\n\n{inner}\n\n</details>"
    else:
        yield from story
