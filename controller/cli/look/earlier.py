"""What is drawn beside the columns that failed: the last version that was accepted before.

It is looked up when a report is shown, and no report is judged with it, so that an accepted version
changes the key of no gate.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from controller.artifacts import Artifacts
from controller.machine.core import Key, parsed
from controller.machine.runs.data_exceptions import AcceptedVersion
from controller.machine.runs.graph import PORTRAIT, Graph
from controller.machine.runs.judged_data import judgements, version_of
from controller.machine.runs.node_names import in_force
from controller.machine.runs.run import NEW, Run
from controller.store.protocol import StoreReader
from specs.failures import Failure
from validators.data.portrait import Portrait, beside
from validators.report import Check, ReferenceVersion, Report

MOST_RUNS = 200
"""Runs that are looked through, from a run backwards."""
FIRST = (
    "No earlier version is known that was accepted, so what failed is drawn with nothing beside it."
)
NOT_ALIKE = (
    "What failed is drawn with nothing beside it: the last accepted version, {}, was not asked the "
    "same, or no sketch of it is kept."
)


async def with_earlier(
    store: StoreReader, artifacts: Artifacts, run: Run, reports: Mapping[str, Report]
) -> dict[str, Report]:
    """The reports of a run, by gate; where a data gate draws columns, with the same columns of the
    last version that a run of the default branch accepted before, or a note that there is none."""
    found = dict(reports)
    runs: dict[str, tuple[Run, ReferenceVersion] | None] = {}
    for gate, report in reports.items():
        if not any(map(_is_drawn, report.checks)):
            continue
        dataset = await _dataset_of(store, run, gate)
        if dataset is None:
            continue
        if dataset not in runs:
            runs[dataset] = await _last_accepted(store, run, dataset)
        earlier = runs[dataset]
        if earlier is None:
            found[gate] = _noted(report, FIRST)
            continue
        before, version = earlier
        own = await _portrait(artifacts, run, gate)
        theirs = await _portrait(artifacts, before, in_force(gate))
        checks = tuple(beside(check, own, theirs) for check in report.checks)
        if any(check.reference for check in checks):
            found[gate] = report.model_copy(update={"checks": checks, "reference": version})
        else:
            found[gate] = _noted(report, NOT_ALIKE.format(_named(version)))
    return found


def _is_drawn(check: Check) -> bool:
    return check.histogram is not None or check.members is not None


def _noted(report: Report, note: str) -> Report:
    return report.model_copy(update={"notes": (*report.notes, note)})


def _named(version: ReferenceVersion) -> str:
    return f"`{version.version}` of {version.day}"


async def _dataset_of(store: StoreReader, run: Run, gate: str) -> str | None:
    """The dataset that a gate of a run has judged."""
    address = await _addresses(store, run)
    return address.get(gate, (None, ""))[0]


async def _addresses(store: StoreReader, run: Run) -> dict[str, tuple[str | None, str]]:
    """By data gate of a run, its dataset and where that is."""
    record = await store.get(Key("graph", run.id))
    nodes = parsed(Graph, record.body).nodes if record else ()
    return {
        node.name: (node.inputs["dataset"].dataset, node.attempt.inputs["dataset"].uri)
        for node in nodes
        if node.kind == "data_gate"
    }


async def _last_accepted(
    store: StoreReader, run: Run, dataset: str
) -> tuple[Run, ReferenceVersion] | None:
    """The newest run of the default branch before this one whose gates let another version of the
    dataset at the same address through, and that version."""
    own = version_of(run, dataset)
    places = {place for name, place in (await _addresses(store, run)).values() if name == dataset}
    for number in range(run.number - 1, max(run.number - 1 - MOST_RUNS, 0), -1):
        record = await store.get(Key("run", f"{run.pipeline}-{number}"))
        before = parsed(Run, record.body) if record else None
        if before is None or not before.releases:
            continue
        version = version_of(before, dataset)
        how = _how_accepted(before, dataset)
        if version in (None, own) or how is None:
            continue
        theirs = await _addresses(store, before)
        if places.isdisjoint(place for name, place in theirs.values() if name == dataset):
            continue
        day = datetime.fromtimestamp(before.created, UTC).date().isoformat()
        return before, ReferenceVersion(version=version or "", day=day, how=how, run=before.id)
    return None


def _how_accepted(run: Run, dataset: str) -> str | None:
    """How the gates of a dataset let its version through; None if they did not, or have not yet."""
    gates = judgements(run, dataset).values()
    if not gates or any(gate.verdict is None or run.stops(gate) for gate in gates):
        return None
    overruled = (run.accepted_version(gate) for gate in gates)
    person = next((one.by for one in overruled if isinstance(one, AcceptedVersion)), None)
    return f"accepted by {person}" if person else "passed its gates"


async def _portrait(artifacts: Artifacts, run: Run, gate: str) -> Portrait:
    """What a gate kept of the columns; nothing if it is of an older controller, or gone."""
    digest = (run.nodes.get(gate, NEW).outputs or {}).get(PORTRAIT)
    if digest is None:
        return Portrait()
    try:
        return Portrait.model_validate_json(await artifacts.read_bytes(digest))
    except (Failure, ValueError):
        return Portrait()
