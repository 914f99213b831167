"""PURE. What changed since the previous run: parameters, files, data."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from controller.machine.pipelines.dataset_changes import ObjectChanges, describe_changes
from controller.machine.pipelines.plan import Plan, PlannedData
from controller.machine.runs.node_names import dataset_of_gate
from controller.reports.links import Links
from specs.digests import short
from specs.figures import clip
from validators.render.markdown import code, escape
from validators.report import Report

MOST = 30
"""Lines."""
LONGEST = 300

_ROWS = re.compile(r"(?P<rows>[\d,]+) rows in ")
"""The note with which a data gate's report says how much it has read."""


class PreviousRun(NamedTuple):
    """What is known, by dataset, of the run that a plan is compared with."""

    rows: Mapping[str, int] = {}
    objects: Mapping[str, ObjectChanges] = {}
    """How the objects have changed since."""


def what_changed(
    plan: Plan,
    reports: Mapping[str, Report],
    before: PreviousRun,
    links: Links,
    base: str | None,
) -> Iterator[str]:
    """Parameters before and after, changed files by step, and the data.

    Nothing if there is no run to compare with.
    """
    if plan.compared_with is None:
        return
    lines = [*_params(plan), *_steps(plan)]
    lines += (_data(data, reports, before) for data in plan.datasets)
    since = f"Compared with {code(plan.compared_with)}, the last passing run of the default branch"
    between = f"; full diff: {links.changes(base, plan.commit)}" if base else ""
    left = [f"- {len(lines) - MOST} more"] if len(lines) > MOST else []
    yield "### What changed"
    yield f"{since}{between}."
    yield "\n".join([*lines[:MOST], *left])


def _params(plan: Plan) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for node in plan.nodes:
        for reason in node.why:
            if reason.kind == "parameter":
                was, now = (code(clip(value, 80)) for value in (reason.was, reason.now))
                name = code(f"params.{reason.name}")
                line = f"- {name}: {was} → {now}"
                found.setdefault(line, []).append(code(node.name))
    yield from (f"{line} ({', '.join(nodes)})" for line, nodes in found.items())


def _steps(plan: Plan) -> Iterator[str]:
    """The other reasons why steps ran; data and parameters have lines of their own."""
    data = {one.name for one in plan.datasets}
    for node in plan.nodes:
        if node.what == "cached":
            continue
        own = [
            reason.text
            for reason in node.why
            if reason.kind == "node" or (reason.kind == "dataset" and reason.name not in data)
        ]
        if own:
            yield f"- {code(node.name)}: {escape(clip('; '.join(own), LONGEST))}"


def _data(data: PlannedData, reports: Mapping[str, Report], before: PreviousRun) -> str:
    name = f"- data {code(data.name)}"
    if data.version is None:
        return f"{name}: {escape(data.problem or 'its version is unknown')}"
    now, then = rows_read(reports).get(data.name), before.rows.get(data.name)
    if data.was == data.version:
        return f"{name}: unchanged" + (f", {now:,} rows" if now is not None else "")
    said = []
    if now is not None:
        said.append(f"{then:,} → {now:,} rows" if then is not None else f"{now:,} rows")
    if data.name in before.objects:
        found = before.objects[data.name]
        said.append(f"{found.objects:,} object{'s' * (found.objects != 1)}")
        said += describe_changes(found, lambda key: code(clip(key, 80)))
    was = code(short(data.was)) if data.was else "none"
    return f"{name}: {'; '.join([*said, f'version {was} → {code(short(data.version))}'])}"


def rows_read(reports: Mapping[str, Report]) -> dict[str, int]:
    """How many rows the data gates read, by dataset; `reports` are by the gate's node."""
    said = (
        (dataset_of_gate(gate) or report.subject, found)
        for gate, report in reports.items()
        for note in report.notes
        if report.gate == "data" and (found := _ROWS.match(note))
    )
    return {name: int(found["rows"].replace(",", "")) for name, found in said}
