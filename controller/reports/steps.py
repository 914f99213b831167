"""PURE. The steps and gates of a run as a table, before, during and after the run."""

from collections.abc import Iterator, Mapping, Sequence

from controller.machine.runs.attempt import Building
from controller.machine.runs.graph import Graph, Node
from controller.machine.runs.run import NEW, NodePhase, Progress, Run
from controller.reports.table import table
from specs.figures import clip, duration
from validators.render.markdown import code, escape

MOST = 100
"""Rows; `headgate show` has all of them."""

LONGEST_CELL = 60
"""Characters of reasons that fit into a cell."""
LONGEST = 600
"""Characters of all reasons of a step."""

SOON = 1.0
"""Seconds; a build that took less is not worth a row."""

ICONS: Mapping[NodePhase, str] = {
    "waiting": "▫️",
    "running": "▶️",
    "cached": "♻️",
    "succeeded": "✅",
    "failed": "❌",
    "skipped": "⏭️",
}


def steps(
    run: Run, graph: Graph | None, *, planned: bool, why: Mapping[str, Sequence[str]] | None = None
) -> Iterator[str]:
    """A table in the order of the graph; nothing if the graph is lost.

    `why` holds the reasons why each node runs, if known; those that do not fit into a cell are part
    of the section on what changed.
    """
    if graph is None or not graph.nodes:
        return
    reasons = why or {}
    rows = [_built(each) for each in run.built if _is_notable(each)]
    rows += [_row(run, node, planned, reasons.get(node.name, ())) for node in graph.nodes[:MOST]]
    shown = table(["", "Step", "Took", "Why"], rows, right=(2,))
    more = len(graph.nodes) - MOST
    left = f"\n\n_{more} more: {code(f'headgate show {run.id}')}_" if more > 0 else ""
    yield f"### {'Plan' if planned else 'Steps'}\n\n{shown}{left}"


def brief(reasons: Sequence[str]) -> str:
    """As many reasons as fit into a cell uncut, and the number of further ones."""
    for shown in range(len(reasons), 0, -1):
        more = f" and {len(reasons) - shown} more" if shown < len(reasons) else ""
        if len(said := "; ".join(reasons[:shown]) + more) <= LONGEST_CELL:
            return said
    return f"{len(reasons)} reason{'s' * (len(reasons) != 1)}" if reasons else ""


def in_full(reasons: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """The reasons that do not fit into the cell of their step, in full."""
    long = [(name, "; ".join(each)) for name, each in reasons if brief(each) != "; ".join(each)]
    if long:
        yield "\n".join(f"- {code(name)}: {escape(clip(said, LONGEST))}" for name, said in long)


def _row(run: Run, node: Node, planned: bool, reasons: Sequence[str]) -> list[str]:
    progress = run.nodes.get(node.name, NEW)
    accepted = run.accepted_version(progress)
    icon = "❌" if run.stops(progress) else "⚠️" if accepted else ICONS[progress.phase]
    why = _planned(run, node, progress) if planned else _happened(progress, reasons)
    why += f"; accepted by {accepted.by}" if accepted else ""
    return [icon, code(node.name), _took(progress), escape(why)]


def _is_notable(building: Building) -> bool:
    """Whether the build failed, is in progress, or took long enough to mention."""
    return bool(building.failed) or building.seconds is None or building.seconds >= SOON


def _built(building: Building) -> list[str]:
    """The row of a build, which no step's time includes."""
    if building.failed:
        icon, why = ICONS["failed"], "could not be built"
    elif building.seconds is None:
        icon, why = ICONS["running"], "is being built"
    else:
        icon, why = ICONS["succeeded"], "built, as it was not cached"
    took = duration(building.seconds) if building.seconds is not None else ""
    return [icon, code(building.what), took, why]


def _planned(run: Run, node: Node, progress: Progress) -> str:
    """Why the node runs, waits or is cached."""
    if progress.done:
        return _happened(progress)
    if progress.key is None:
        waits = [need for need in node.needs if not run.nodes.get(need, NEW).done]
        return f"waits for {', '.join(waits)}" if waits else "waits"
    return "runs: there is no cached result"


def _happened(progress: Progress, reasons: Sequence[str] = ()) -> str:
    """How the node ended, in a few words."""
    verdict = f"{progress.verdict}" if progress.verdict else ""
    tries = len(progress.attempts)
    match progress.phase:
        case "cached":
            said = f"cached from {progress.cached_from}"
        case "failed":
            said = "failed"
        case "skipped":
            # The row of that node says why it did not succeed.
            culprit, failed, _ = (progress.skipped or "").partition(" did not succeed")
            said = f"skipped: {culprit}{failed}"
        case "succeeded":
            said = f"ran: {brief(reasons)}" if reasons else ""
        case "waiting" | "running":
            said = "not finished"
    again = f"attempt {tries}" if tries > 1 else ""
    return "; ".join(part for part in (verdict, said, again) if part)


def _took(progress: Progress) -> str:
    """The total time of all attempts."""
    if progress.phase == "cached":
        return ""
    statuses = [tried.status for tried in progress.attempts if tried.status]
    times = [s.ended - s.started for s in statuses if s.started is not None and s.ended is not None]
    return duration(max(0.0, sum(times))) if times else ""
