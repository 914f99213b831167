"""PURE. What is said on a commit, from the facts of its run: the verdict first."""

import re
from collections.abc import Iterator, Sequence

from controller.machine.actions import ReportCommit
from controller.machine.runs.graph import Graph
from controller.machine.runs.plan import Plan, baseline_of
from controller.machine.runs.run import Run
from controller.reports.annotations import of_gates, of_problems
from controller.reports.plan import policy, render_plan
from controller.reports.protocol import LONGEST, CommitReport, Conclusion
from controller.reports.steps import steps
from controller.reports.words import fit
from specs.digests import short
from validators.figures import clip
from validators.render.common import clean, duration
from validators.render.markdown import code, escape, render
from validators.report import Report

LONGEST_TEXT = 12_000
"""Characters of one quoted text: a spec's problems, a step's last words."""
LONGEST_TITLE = 200
MOST_FAILURES = 3
MOST_DATASETS = 50

_ICONS = {
    "running": "⏳",
    "passed": "✅",
    "failed": "❌",
    "stopped": "❌",
    "cancelled": "⏹️",
    "skipped": "⏭️",
    "invalid": "❌",
    "held": "✋",
}


def build(
    action: ReportCommit,
    run: Run | None,
    graph: Graph | None,
    reports: Sequence[Report],
    plan: Plan | None = None,
    again: str | None = None,
) -> CommitReport:
    """The report that `action` asks for; `run`, `graph` and `reports` are those of its run, and so
    is `plan`, which a pull request's has. `again` repeats a run that no controller knows, and is
    named in place of the commands that ask one.

    At most 65,535 characters: the gates' passing checks are cut first, with the command that
    shows them.
    """
    title = clip(_title(action, run).partition("\n")[0], LONGEST_TITLE)
    head = [f"## {_ICONS[action.state]} {escape(title)}"]
    if action.text:
        head.append(fenced(action.text))
    tail: list[str] = []
    if run is not None and run.commit == action.commit:
        head += [_about(run, here=again is not None), *_failures(run)]
        if plan is not None and run.live:
            tail = [render_plan(plan, run)]  # it names the inputs, too
        else:
            tail = [*_story(run, graph, plan), *_inputs(run, graph)]
    head += _next(action, run, again)
    if plan is not None and run is not None and not run.live:
        head += policy(plan)
    gates = ""
    if reports:
        all_ran = run is None or len(run.verdicts) == len(reports) == _gates(graph)
        name = "the gates" if all_ran else "the gates that ran"
        room = LONGEST - sum(len(part) + 2 for part in (*head, *tail)) - 2
        whole = again or f"headgate show {action.run}"
        worst_first = sorted(reports, key=lambda report: -report.verdict.rank)
        gates = render(worst_first, name, whole=whole, longest=max(room, 500)).rstrip("\n")
    text = "\n\n".join(part for part in (*head, gates, *tail) if part) + "\n"
    return CommitReport(
        repository=action.repository,
        commit=action.commit,
        pipeline=action.pipeline,
        state=action.state,
        title=title,
        run=action.run,
        text=text if len(text) <= LONGEST else text[: LONGEST - 2] + "…\n",
        conclusion=_conclusion(action, run),
        annotations=of_problems(action.problems)
        if action.state == "invalid"
        else of_gates(reports, run.folder if run else ""),
        pull=action.pull,
        step=action.step,
    )


def _title(action: ReportCommit, run: Run | None) -> str:
    """Of a failed run, which step and why, without what it printed before."""
    name = _broken(run) if run is not None and action.state == "failed" else ""
    if run is None or not name:
        return action.title
    return f"{run.id} failed: {name}: {fit(run.nodes[name].failed or '')}"


def _conclusion(action: ReportCommit, run: Run | None) -> Conclusion | None:
    """A commit that runs nothing is as good as the run that it equals, and no better: else one
    word in the README would let a model through that its gate has stopped."""
    match action.state:
        case "running":
            return None
        case "passed":
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


def _gates(graph: Graph | None) -> int:
    return sum(node.kind.endswith("gate") for node in graph.nodes) if graph else 0


def fenced(text: str) -> str:
    """Foreign text as a block that it cannot end; its middle is cut if it is long."""
    if len(text) > LONGEST_TEXT:
        half = LONGEST_TEXT // 2
        left = f"[... {len(text) - 2 * half:,} characters are left out ...]"
        text = f"{text[:half]}\n{left}\n{text[-half:]}"
    text = "\n".join(clean(line) for line in text.splitlines())
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _about(run: Run, *, here: bool) -> str:
    """Why there is a run, how long it took, and what its outcome is good for."""
    # While it runs, its title says why.
    parts = [] if run.live else [f"Because of {escape(run.trigger.why)}."]
    if run.trigger.by:
        parts.append(f"By {escape(run.trigger.by)}.")
    if run.finished is not None:
        parts.append(f"It took {duration(run.finished - run.created)}.")
    if here:
        parts.append("It releases nothing.")
    elif run.pull is not None and (run.live or run.outcome == "passed"):
        parts.append(
            "It releases nothing; once this is merged, what it trained is not trained again."
        )
    elif run.pull is not None:
        parts.append("Runs of pull requests release nothing.")
    elif not run.releases:
        parts.append(f"It only reports: {code(run.branch)} does not release.")
    elif run.live:
        parts.append("If it passes, its model goes to staging and then to production.")
    elif run.outcome == "passed":
        parts.append("Its model, if it is a new one, goes to staging and then to production.")
    else:
        parts.append("Nothing is released.")
    return " ".join(parts)


def _story(run: Run, graph: Graph | None, plan: Plan | None) -> Iterator[str]:
    """What runs, or ran, and why."""
    nodes = plan.nodes if plan else ()
    why = {node.name: node.why for node in nodes if node.what == "run"}
    yield from steps(run, graph, planned=run.live, why=why)


def _failures(run: Run) -> Iterator[str]:
    """What steps said last, in their own words."""
    failed = [(name, node.failed) for name, node in run.nodes.items() if node.failed]
    for name, said in failed[:MOST_FAILURES]:
        yield f"{code(name)} failed:\n\n{fenced(fit(said or ''))}"
    if len(failed) > MOST_FAILURES:
        yield f"{len(failed) - MOST_FAILURES} more failed: {code(f'headgate show {run.id}')}"


def _inputs(run: Run, graph: Graph | None) -> Iterator[str]:
    """What the run is of: code, data, baseline, and the model that came out."""
    lines = [f"- commit {code(run.commit[:12])} {_of(run)}"]
    if run.base is not None:
        lines.append(f"- gates and release policy of {code(run.base[:12])}, of the base branch")
    datasets = sorted(run.datasets.items())
    lines += [f"- dataset {code(name)} {code(short(v))}" for name, v in datasets[:MOST_DATASETS]]
    if len(datasets) > MOST_DATASETS:
        lines.append(f"- {len(datasets) - MOST_DATASETS} more datasets")
    if graph is None or any(node.kind == "model_gate" for node in graph.nodes):
        model_of = baseline_of(graph)[1] if graph else None
        digest = f" {code(short(model_of))}" if model_of else ""
        none = "none: no model in production is known"
        lines.append(
            f"- baseline v{run.baseline}{digest}" if run.baseline else f"- baseline {none}"
        )
    lines += _environment(graph)
    model = graph.model if graph else None
    maker = run.nodes.get(model.node or "") if model else None
    if model and maker and maker.outputs:
        lines.append(f"- model {code(short(maker.outputs.get(model.output or '', '')))}")
    yield "### Made from\n\n" + "\n".join(lines)


def _of(run: Run) -> str:
    return f"of {escape(run.branch)}" if run.pull is not None else f"on {code(run.branch)}"


def _environment(graph: Graph | None) -> Iterator[str]:
    """The environments of the steps, each once."""
    found = [node.definition.get("environment") or {} for node in graph.nodes] if graph else []
    for name in ("requirements", "python", "image"):
        values = dict.fromkeys(each[name] for each in found if each.get(name))
        if values:
            yield f"- {name} {', '.join(code(short(value)) for value in values)}"


def _broken(run: Run | None) -> str:
    """The step whose log to read first."""
    nodes = run.nodes.items() if run else ()
    names = (name for name, node in nodes if node.failed and not name.startswith("baseline."))
    return next(names, "")


def _next(action: ReportCommit, run: Run | None, again: str | None) -> Iterator[str]:
    """What to do next: on the command line, or in a comment on the pull request."""
    if again is not None:
        if action.state != "passed":
            yield f"The same on your machine: {code(again)}"
        return
    ways = [" · ".join(code(command) for command in _commands(action, run))]
    if action.pull is not None and (comment := _comment(action)):
        ways.append(f"comment {code(comment)}")
    if said := " · or ".join(way for way in ways if way):
        yield f"Next: {said}"


def _comment(action: ReportCommit) -> str | None:
    match action.state:
        case "running" if action.run:
            return "/headgate cancel"
        case "failed":
            return "/headgate retry"
        case "cancelled" | "skipped" | "stopped":
            return "/headgate run"
        case "held":
            return f"/headgate approve {action.commit[:12]}"
        case _:
            return None


def _commands(action: ReportCommit, run: Run | None) -> Iterator[str]:
    """What to do next, exactly."""
    match action.state:
        case "running":
            yield f"headgate status {action.pipeline}"
        case "passed" if run is not None and run.releases:
            yield f"headgate releases {action.pipeline}"
        case "passed" if run is not None:
            yield f"headgate show {run.id}"
        case "stopped":
            yield f"headgate explain {action.run}"
            yield f"headgate show {action.run}"
        case "failed":
            yield f"headgate logs {action.run} {_broken(run)}".rstrip()
            yield f"headgate retry {action.run}"
        case "cancelled" if action.run:
            yield f"headgate retry {action.run}"
        case "skipped" if action.run:
            yield f"headgate show {action.run}"
            yield f"headgate trigger {action.pipeline}"
        case "invalid":
            yield "headgate validate"
        case _:
            return
