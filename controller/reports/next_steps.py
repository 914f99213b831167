"""PURE. What to do next, as commands or as a comment on the pull request."""

from collections.abc import Iterator
from typing import assert_never

from controller.machine.actions import ReportCommit
from controller.machine.runs.graph import Graph
from controller.machine.runs.judged_data import stopped_data
from controller.machine.runs.node_names import is_evidence
from controller.machine.runs.run import Run
from specs.digests import short
from validators.render.markdown import code
from validators.verdict import Verdict


def next_steps(
    action: ReportCommit, run: Run | None, graph: Graph | None, again: str | None
) -> Iterator[str]:
    """The next steps. `again` is the command that repeats a local run, shown instead of them."""
    if again is not None:
        if action.state != "passed":
            yield f"Reproduce it on your machine: {code(again)}"
        return
    found = [" · ".join(code(command) for command in _commands(action, run, graph))]
    if action.pull is not None and (comment := _comment(action, run)):
        found.append(f"comment {code(comment)}")
    if steps := " · or ".join(filter(None, found)):
        yield f"Next: {steps}"


def _comment(action: ReportCommit, run: Run | None) -> str | None:
    match action.state:
        case "running" if action.run:
            return "/headgate cancel"
        case "failed":
            return "/headgate retry"
        case "cancelled" | "skipped":
            return "/headgate run"
        case "stopped" if run is not None and not _failed_a_gate(run):
            return "/headgate run"
        case "held" if action.asks:
            return f"/headgate {action.asks} {action.commit[:12]}"
        case "running" | "passed" | "stopped" | "invalid" | "held" | "accepted":
            return None


def _failed_a_gate(run: Run) -> bool:
    """Whether a gate's verdict is FAIL, which a repeated run would only confirm. A gate that could
    not judge or decide may do so next time."""
    return any(verdict is Verdict.FAIL for verdict in run.verdicts.values())


def failed_step(run: Run | None) -> str:
    """The step whose log to read first; `environment` if that could not be built."""
    nodes = run.nodes.items() if run else ()
    found = ((name, node) for name, node in nodes if node.failed and not is_evidence(name))
    name, node = next(found, ("", None))
    return "environment" if node is not None and node.unbuilt is not None else name


def _commands(action: ReportCommit, run: Run | None, graph: Graph | None) -> Iterator[str]:
    """The commands for the state of the report."""
    released = run is not None and run.releases and (graph is None or graph.releases)
    match action.state:
        case "running":
            yield "headgate status"
        case "passed" if released:
            yield f"headgate releases {action.pipeline}"
        case "passed" if run is not None:
            yield f"headgate show {run.id}"
        case "stopped":
            yield f"headgate explain {action.run}"
            yield f"headgate show {action.run}"
            for one in stopped_data(run) if run is not None else ():
                dataset, version = f"{action.pipeline}/{one.dataset}", short(one.version)
                yield f'headgate accept {dataset} {version} --reason "..."'
        case "failed":
            yield f"headgate logs {action.run} {failed_step(run)}".rstrip()
            yield f"headgate retry {action.run}"
        case "cancelled" if action.run:
            yield f"headgate retry {action.run}"
        case "skipped" if action.run:
            yield f"headgate show {action.run}"
            yield f"headgate trigger {action.pipeline}"
        case "invalid":
            yield "headgate validate"
        case "passed" | "cancelled" | "skipped" | "held" | "accepted":
            return
        case state:
            assert_never(state)
