"""PURE. What is said on a commit, from the facts of its run: the verdict first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from controller.machine.actions import ReportCommit
from controller.machine.runs.graph import Graph
from controller.machine.runs.plan import Plan
from controller.machine.runs.run import Run
from controller.machine.words import fit
from controller.reports import headline
from controller.reports.about import Since, about, inputs
from controller.reports.annotations import of_gates, of_problems
from controller.reports.changed import PreviousRun, changed
from controller.reports.gates import gates, loose_ends
from controller.reports.judges import exam, judged_by
from controller.reports.links import NOWHERE, Links
from controller.reports.plan import policy, steps_of
from controller.reports.protocol import LONGEST, CommitReport, Conclusion, name_of
from controller.reports.quoted import fenced
from controller.reports.rules import count
from controller.reports.steps import steps
from controller.reports.trend import PastMeasurement, trend
from controller.reports.ways import broken, ways
from validators.figures import clip
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


class Worse(NamedTuple):
    """Another open pull request with the same head and base, whose latest run ended worse, or goes
    on while there is nothing bad to say yet."""

    pull: int
    run: str
    outcome: str
    """What its run did, as the rest of a sentence: `was stopped`."""
    conclusion: Conclusion | None
    """None: that is not known yet."""


class Beside(NamedTuple):
    """What is known beside a run: where its repository is looked at, and what came before."""

    links: Links = NOWHERE
    base: str = ""
    """The name of the pull request's base branch."""
    past: Sequence[PastMeasurement] = ()
    """What the gate measured on the last versions, the oldest first."""
    before: PreviousRun = PreviousRun()
    """What the run had that the plan is compared with."""
    worse: Worse | None = None
    since: Since | None = None
    """What became of the data of a run that no pull request is told of."""


def build(
    action: ReportCommit,
    run: Run | None,
    graph: Graph | None,
    reports: Mapping[str, Report],
    plan: Plan | None = None,
    again: str | None = None,
    beside: Beside = Beside(),  # noqa: B008 - a constant value
) -> CommitReport:
    """The report that `action` asks for; `run`, `graph` and `reports`, by gate, are those of its
    run, and so is `plan`, which a pull request's has: also one that is held, and has no run yet.
    `again` repeats a run that no controller knows, and is named in place of the commands that ask
    one.

    At most 65,535 characters: the gates' passing checks are cut first, with the command that
    shows them.
    """
    ours = run if run is not None and run.commit == action.commit else None
    conclusion = _conclusion(action, run)
    title = _title(action, ours, reports, plan, again)
    if beside.worse is not None:
        conclusion = beside.worse.conclusion
        title = f"#{beside.worse.pull} with the same head {beside.worse.outcome}; here: {title}"
    title = clip(title.partition("\n")[0], LONGEST_TITLE)
    head = [f"## {_ICONS[conclusion]} {escape(title)}"]
    head += _worse(beside.worse, action)
    head += _words(action)
    tail: list[str] = []
    if ours is not None:
        head.append(about(ours, here=again is not None, since=beside.since))
        head += [*_judged(ours, reports, plan, beside), *_failures(ours)]
        head += loose_ends(ours, graph, reports) if not ours.live else ()
        tail = list(_tail(ours, graph, reports, plan, beside))
    elif plan is not None and action.state == "held":
        check = name_of(action.pipeline, "policy", action.scope)
        head += policy(plan, check=check if action.pull is not None else "")
        tail = [steps_of(plan)]
    head += ways(action, run, again)
    room = LONGEST - sum(len(part) + 2 for part in (*head, *tail)) - 2
    whole = again or f"headgate show {action.run}"
    shown = gates(reports, graph, beside.links, whole, room)
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
    """The number that decided; of a failed run, which step and why, without what it printed
    before."""
    if run is None:
        told = plan is not None and plan.policy_base is not None
        number = count(plan.policy) if plan and told else 0
        return f"{action.title}; {headline.loosened(number)}" if told else action.title
    match action.state:
        case "passed":
            return headline.passed(run, reports, plan, compared=again is None)
        case "stopped":
            return headline.stopped(run, reports) or action.title
        case "failed" if name := broken(run):
            return f"{run.id} failed: {name}: {fit(_said(run, name))}"
        case _:
            return action.title


def _conclusion(action: ReportCommit, run: Run | None) -> Conclusion | None:
    """A commit that runs nothing is as good as the run that it equals, and no better: else one
    word in the README would let a model through that its gate has stopped."""
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
            return "cancelled"  # it is not known yet, and no one comes back to this commit
        case _:
            return "failure"


def is_worse(one: Conclusion | None, other: Conclusion | None) -> bool:
    """Whether a merge has less to stand on by the one than by the other."""

    def place(conclusion: Conclusion | None) -> int:
        known = conclusion in _WORST_FIRST
        return -_WORST_FIRST.index(conclusion) if known else -len(_WORST_FIRST)

    return place(one) > place(other)


def _worse(worse: Worse | None, action: ReportCommit) -> Iterator[str]:
    if worse is not None:
        decided = worse.conclusion is not None
        counts = "the worse of the two counts" if decided else "it waits until both are over"
        yield (
            f"**The check of this commit says what #{worse.pull} says**, a pull request with the "
            f"same head and the same base: its run {code(worse.run)} {worse.outcome}. GitHub shows "
            f"one check for both, so {counts}; what follows is said of "
            + (f"#{action.pull} alone." if action.pull is not None else "this one alone.")
        )


def _words(action: ReportCommit) -> Iterator[str]:
    """What else was said: sentences of our own with names in them, or what a program printed."""
    if action.state in ("held", "accepted"):
        yield from map(prose, filter(None, action.text.split("\n\n")))
    elif action.text:
        yield fenced(action.text)


def _judged(
    run: Run,
    reports: Mapping[str, Report],
    plan: Plan | None,
    beside: Beside,
) -> Iterator[str]:
    """By whose rules and exam it is judged, how its metrics went before, and what it loosens."""
    yield from judged_by(run, plan, beside.base, beside.links)
    model = headline.trusted(reports)
    if not run.live and model is not None:
        yield from trend(model, beside.past)
    yield from exam(run, plan, reports)
    yield from policy(plan, run, links=beside.links) if plan else ()


def _failures(run: Run) -> Iterator[str]:
    """What steps said last, in their own words."""
    builds = run.built
    failed: list[tuple[str, str]] = [(one.what, one.failed) for one in builds if one.failed]
    nodes = [(name, node) for name, node in run.nodes.items() if not node.unbuilt]
    failed += [(name, node.failed) for name, node in nodes if node.failed]
    for name, said in failed[:MOST_FAILURES]:
        yield f"{code(name)} failed:\n\n{fenced(fit(said))}"
    if len(failed) > MOST_FAILURES:
        yield f"{len(failed) - MOST_FAILURES} more failed: {code(f'headgate show {run.id}')}"


def _said(run: Run, name: str) -> str:
    """Why a step failed, or the environment could not be built."""
    if name in run.nodes:
        return run.nodes[name].failed or ""
    return next((each.failed for each in run.built if each.failed), "")


def _tail(
    run: Run,
    graph: Graph | None,
    reports: Mapping[str, Report],
    plan: Plan | None,
    beside: Beside,
) -> Iterator[str]:
    """What is read last: what changed, the steps, the inputs."""
    if plan is not None and run.live:
        yield steps_of(plan, run)  # it names the inputs, too
        return
    moved = [*changed(plan, reports, beside.before, beside.links, run.base)] if plan else []
    yield from moved
    nodes = plan.nodes if plan else ()
    why = {node.name: node.why for node in nodes if node.what == "run"}
    made_from = inputs(run, graph, beside.links, compared=bool(moved))
    story = [*steps(run, graph, planned=run.live, why=why), *made_from]
    if run.outcome in ("passed", "stopped"):
        inner = "\n\n".join(story)
        name = "Steps, and what it was made from"
        yield f"<details><summary>{name}</summary>\n\n{inner}\n\n</details>"
    else:
        yield from story
