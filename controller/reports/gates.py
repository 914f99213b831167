"""PURE. What the gates of a run say, and what became of those that say nothing."""

from collections.abc import Iterator, Mapping
from typing import Literal

from controller.machine.runs.graph import Graph
from controller.machine.runs.judging import PROPOSED
from controller.machine.runs.run import NEW, Progress, Run, why_ended
from controller.machine.words import fit
from controller.reports.headline import BASE_EXAM, arranged
from controller.reports.links import Links
from validators.render.markdown import code, escape, render
from validators.report import Check, Report
from validators.verdict import Verdict, worst

LEAST_ROOM = 500
MOST_PLACES = 10


def gates(
    reports: Mapping[str, Report],
    graph: Graph | None,
    links: Links,
    whole: str,
    longest: int,
) -> Iterator[str]:
    """All reports in at most about `longest` characters, without a heading: the verdict of the run
    stands above them, and gates that passed do not make one that failed pass."""
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
    """The report with which of two gates of the same subject it is of."""
    if gate == "gate.model" and BASE_EXAM in reports:
        return report.model_copy(update={"exam": "the evaluation of this commit"})
    if gate == BASE_EXAM and not report.exam:
        return report.model_copy(update={"exam": "the evaluation of the base branch"})
    if gate.endswith(PROPOSED):
        subject = f"{report.subject}, by the suite that is proposed here"
        return report.model_copy(update={"subject": subject})
    return report


def _places(reports: Mapping[str, Report], graph: Graph | None, links: Links) -> Iterator[str]:
    """Links to where the checks are written that did not pass."""
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
        yield f"What did not pass is written at {', '.join(shown)}{more}."


_FINE = (Verdict.PASS, Verdict.SKIPPED)


def not_judged(run: Run, graph: Graph | None, reports: Mapping[str, Report]) -> Iterator[str]:
    """Gates that did not judge, so that nobody takes those that did for all; and lost reports."""
    for gate, progress in _unreported(run, graph, reports):
        if progress.verdict is None:
            yield f"**{code(gate)} has not judged**: {escape(_why_not(progress))}."
        else:
            said = progress.verdict.value
            yield f"The report of {code(gate)} is lost; its verdict was **{said}**."


def completed(run: Run, graph: Graph | None, reports: Mapping[str, Report]) -> tuple[Report, ...]:
    """The reports, and one in place of each that is not there: a program that reads them must not
    take the gates that passed for all that there is to a run that is over."""
    found = [_named(name, report, reports) for name, report in arranged(reports).items()]
    if run.live:
        return tuple(found)
    for gate, progress in _unreported(run, graph, reports):
        lost = f"its report is lost; its verdict was {progress.verdict}"
        why = lost if progress.verdict else f"not judged: {_why_not(progress)}"
        kind: Literal["data", "model"] = "model" if gate.startswith("gate.model") else "data"
        found.append(_said(kind, gate, progress.verdict or Verdict.ERROR, why))
    if run.outcome != "passed" and worst(report.verdict for report in found).passes:
        found.append(_said("model", run.id, Verdict.ERROR, f"{run.outcome}: {why_ended(run)}"))
    return tuple(found)


def _said(kind: Literal["data", "model"], name: str, verdict: Verdict, why: str) -> Report:
    check = Check(name=name, verdict=verdict, message=fit(why))
    return Report(gate=kind, subject=name, checks=(check,))


def _unreported(
    run: Run, graph: Graph | None, reports: Mapping[str, Report]
) -> Iterator[tuple[str, Progress]]:
    for node in graph.nodes if graph else ():
        if node.kind.endswith("gate") and node.name not in reports:
            yield node.name, run.nodes.get(node.name, NEW)


def _why_not(progress: Progress) -> str:
    return progress.skipped or ("it failed" if progress.failed else "the run was over before")
