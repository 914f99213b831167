"""PURE. The gates' reports, and the gates that have no report."""

from collections.abc import Iterator, Mapping
from typing import Literal

from controller.machine.error_text import without_traceback
from controller.machine.runs.graph import Graph, Node, NodeKind
from controller.machine.runs.node_names import BASE_MODEL_GATE, MODEL_GATE, is_proposed
from controller.machine.runs.run import NEW, Progress, Run, why_ended
from controller.reports.headline import arranged
from controller.reports.links import Links
from validators.render.markdown import code, escape, render
from validators.report import Check, Report
from validators.verdict import Verdict, worst

LEAST_ROOM = 500
MOST_PLACES = 10

GateKind = Literal["data", "model"]
_GATES: Mapping[NodeKind, GateKind] = {"data_gate": "data", "model_gate": "model"}


def gates(
    reports: Mapping[str, Report],
    graph: Graph | None,
    links: Links,
    whole: str,
    longest: int,
) -> Iterator[str]:
    """All reports in about `longest` characters at most. Their common heading is removed: the
    verdict of the run stands above them, and a second one could contradict it."""
    if not reports:
        return
    ordered = arranged(reports)
    where = [*_places(ordered, graph, links)]
    room = max(longest - sum(map(len, where)) - 2, LEAST_ROOM)
    named = [_named(name, report, reports) for name, report in ordered.items()]
    text = render(named, "the gates", whole=whole, longest=room).rstrip("\n")
    first, _, rest = text.partition("\n\n")
    yield rest if first.startswith("## ") else text
    yield from where


def _named(gate: str, report: Report, reports: Mapping[str, Report]) -> Report:
    """The report, labelled so that two gates of one subject can be told apart."""
    if gate == MODEL_GATE and BASE_MODEL_GATE in reports:
        return report.model_copy(update={"exam": "this commit's evaluation"})
    if gate == BASE_MODEL_GATE and not report.exam:
        return report.model_copy(update={"exam": "the base branch's evaluation"})
    if is_proposed(gate):
        subject = f"{report.subject}, by the suite proposed here"
        return report.model_copy(update={"subject": subject})
    return report


def _places(reports: Mapping[str, Report], graph: Graph | None, links: Links) -> Iterator[str]:
    """Links to the definitions of the checks that did not pass."""
    if graph is None or not links.web:
        return
    found: dict[str, None] = {}
    for gate, report in reports.items():
        node = graph.by_name.get(gate)
        for check in report.checks:
            if node is None or check.where is None or check.verdict in _FINE:
                continue
            line = links.line(node.attempt.commit, check.where.file, check.where.line)
            found[line] = None
    if found:
        shown = list(found)[:MOST_PLACES]
        more = f" and {len(found) - MOST_PLACES} more" if len(found) > MOST_PLACES else ""
        yield f"Checks that did not pass are defined at {', '.join(shown)}{more}."


_FINE = (Verdict.PASS, Verdict.SKIPPED)


def not_judged(run: Run, graph: Graph | None, reports: Mapping[str, Report]) -> Iterator[str]:
    """The gates without a verdict, which a reader would otherwise not miss; and lost reports."""
    for node, progress in _unreported(run, graph, reports):
        gate = node.name
        if progress.verdict is None:
            yield f"**{code(gate)} gave no verdict**: {escape(_why_not(progress))}."
        else:
            said = progress.verdict.value
            yield f"The report of {code(gate)} is lost; its verdict was **{said}**."


def completed(run: Run, graph: Graph | None, reports: Mapping[str, Report]) -> tuple[Report, ...]:
    """The reports, with a substitute for each that is missing from a run that has ended: a program
    that reads them must not mistake the gates that passed for all of them."""
    found = [_named(name, report, reports) for name, report in arranged(reports).items()]
    if run.live:
        return tuple(found)
    for node, progress in _unreported(run, graph, reports):
        lost = f"its report is lost; its verdict was {progress.verdict}"
        why = lost if progress.verdict else f"no verdict: {_why_not(progress)}"
        kind, accepted = _GATES[node.kind], run.accepted_version(progress)
        instead = _substitute(kind, node.name, progress.verdict or Verdict.ERROR, why)
        found.append(instead.model_copy(update={"accepted": str(accepted or "")}))
    if run.outcome != "passed" and worst(report.verdict for report in found).passes:
        found.append(
            _substitute("model", run.id, Verdict.ERROR, f"{run.outcome}: {why_ended(run)}")
        )
    return tuple(found)


def _substitute(kind: GateKind, name: str, verdict: Verdict, why: str) -> Report:
    check = Check(name=name, verdict=verdict, message=without_traceback(why))
    return Report(gate=kind, subject=name, checks=(check,))


def _unreported(
    run: Run, graph: Graph | None, reports: Mapping[str, Report]
) -> Iterator[tuple[Node, Progress]]:
    """The gates of the graph that have no report."""
    for node in graph.nodes if graph else ():
        if node.kind in _GATES and node.name not in reports:
            yield node, run.nodes.get(node.name, NEW)


def _why_not(progress: Progress) -> str:
    return progress.skipped or ("it failed" if progress.failed else "the run ended first")
