"""Finds what `headgate show` prints: a run, a model version or a rollout, with its reports."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from controller.artifacts import Artifacts
from controller.cli.context import missing, parse_all
from controller.cli.failures import Failed
from controller.cli.look.earlier import with_earlier
from controller.cli.terminal.formatting import one_line
from controller.cli.terminal.views import RunView, run_view
from controller.machine.core import Key, Value, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout, Rollout
from controller.machine.environments.version_diff import differs
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.machine.runs.attempt import Status
from controller.machine.runs.data_exceptions import exceptions_of
from controller.machine.runs.graph import VALIDATION, Graph
from controller.machine.runs.run import Run, why_ended
from controller.reports.exceptions import with_exceptions
from controller.reports.gates import completed
from controller.store.model_versions import Versions
from controller.store.protocol import StoreReader
from specs.failures import Failure
from validators.canary import evidence
from validators.report import Check, Report
from validators.verdict import Verdict


class Attempted(Value):
    """One attempt at a node."""

    id: str
    node: str
    asked: float
    status: Status | None


class ShownRun(Value):
    """A run with its attempts and reports."""

    run: RunView
    by: str
    exceptions: Mapping[str, str] = {}
    """By dataset: who accepted its version, or why an older one was read."""
    attempts: tuple[Attempted, ...]
    reports: tuple[Report, ...]
    lost_reports: tuple[str, ...] = ()
    """For each gate report that cannot be shown, why."""


class ShownVersion(Value):
    """A model version with its lineage."""

    version: ModelVersion
    reports: tuple[Report, ...]
    lost_reports: tuple[str, ...] = ()


class ShownRollout(Value):
    """A rollout, in progress (`ended` is None) or over."""

    rollout: Rollout
    pipeline: str
    environment: str
    ended: EndedRollout | None
    reports: tuple[Report, ...]
    commit: str = ""
    """The commit that the version was trained from."""
    beside: Ref | None = None
    """The version that it is or was compared with."""
    differs: tuple[str, ...] = ()
    """How the version differs from `beside`: parameters, files, data."""


Shown = ShownRun | ShownVersion | ShownRollout


async def find(store: StoreReader, artifacts: Artifacts, what: str) -> Shown:
    """The run, version or rollout of that name. Raises `Failed` if there is none."""
    run = await store.get(Key("run", what))
    if run is not None:
        return await _find_run(store, artifacts, parsed(Run, run.body))
    version = await store.get(Key("model", what.replace("/v", "/")))
    if version is not None:
        found = parsed(ModelVersion, version.body)
        kept, lost = await read_reports(artifacts, found.reports)
        reports = with_exceptions(kept, found.accepted_versions, found.fallbacks)
        return ShownVersion(version=found, reports=tuple(reports.values()), lost_reports=lost)
    rollout = await _find_rollout(store, what)
    if rollout is not None:
        return rollout
    kinds = ("run", "model", "rollout")
    raise await missing(store, "run, model version or rollout", what, kinds)


async def _find_rollout(store: StoreReader, id_: str) -> ShownRollout | None:
    """The rollout of that id, past or in progress."""
    record = await store.get(Key("rollout", id_))
    if record is not None:
        ended = parsed(EndedRollout, record.body)
        shown = _shown_rollout(ended.rollout, ended.pipeline, ended.environment, ended)
        return await _compared(store, shown, ended.beside)
    for env in parse_all(await store.list("environment"), EnvironmentState):
        if env.rollout is not None and env.rollout.id == id_:
            shown = _shown_rollout(env.rollout, env.pipeline, env.name, None)
            return await _compared(store, shown, env.stable)
    return None


async def _compared(store: StoreReader, shown: ShownRollout, beside: Ref | None) -> ShownRollout:
    """Add the commit that it came from, and how it differs from the version `beside`."""
    versions = Versions(store)
    new = await versions.get(shown.pipeline, shown.rollout.version.version)
    old = await versions.get(shown.pipeline, beside.version) if beside else None
    facts = {
        "commit": new.source.commit if new else "",
        "beside": beside,
        "differs": differs(old, new) if old and new else (),
    }
    return shown.model_copy(update=facts)


def _shown_rollout(
    rollout: Rollout, pipeline: str, environment: str, ended: EndedRollout | None
) -> ShownRollout:
    reports = [rollout.smoke] if rollout.smoke else []
    if rollout.judgement is not None:
        reports.append(evidence.report(rollout.judgement, rollout.id, rollout.judge))
    return ShownRollout(
        rollout=rollout,
        pipeline=pipeline,
        environment=environment,
        ended=ended,
        reports=tuple(reports),
    )


async def _find_run(store: StoreReader, artifacts: Artifacts, run: Run) -> ShownRun:
    graph = await store.get(Key("graph", run.id))
    reports, lost = await _reports_of(artifacts, run)
    attempts = (
        Attempted(id=tried.id, node=name, asked=tried.asked, status=tried.status)
        for name, node in run.nodes.items()
        for tried in node.attempts
    )
    return ShownRun(
        run=run_view(run, parsed(Graph, graph.body) if graph else None),
        by=run.trigger.by,
        exceptions=exceptions_of(run.accepted_versions, run.fallbacks),
        attempts=tuple(sorted(attempts, key=lambda tried: tried.asked)),
        reports=tuple(reports.values()),
        lost_reports=lost,
    )


async def read_reports(
    artifacts: Artifacts, digests: Mapping[str, str]
) -> tuple[dict[str, Report], tuple[str, ...]]:
    """The reports by gate, read by their digests, and the reasons why some cannot be shown."""
    reports: dict[str, Report] = {}
    lost = []
    for gate, digest in digests.items():
        try:
            content = await artifacts.read_bytes(digest)
            reports[gate] = Report.model_validate_json(content)
        except (Failure, ValueError) as failure:
            lost.append(f"the report of {gate} cannot be read: {one_line(str(failure))}")
    return reports, tuple(lost)


async def _reports_of(artifacts: Artifacts, run: Run) -> tuple[dict[str, Report], tuple[str, ...]]:
    """As `read_reports`, with the exceptions that apply to the run."""
    found, lost = await read_reports(artifacts, _digests(run))
    return with_exceptions(found, run.accepted_versions, run.fallbacks), lost


class ShownEvidence(NamedTuple):
    """The reports of gates, under a title."""

    title: str
    reports: tuple[Report, ...]


async def evidence_of(
    store: StoreReader, artifacts: Artifacts, what: str, *, drawn: bool = False
) -> ShownEvidence:
    """The reports of a run, version or rollout; of a run that is drawn, with what is drawn beside
    them. A gate without a report gets one that says why. Raises `Failed` if there is no such
    object, or nothing to show."""
    record = await store.get(Key("run", what))
    if record is not None:
        return await _of_run(store, artifacts, parsed(Run, record.body), drawn)
    shown = await find(store, artifacts, what)
    lost = shown.lost_reports if isinstance(shown, ShownVersion) else ()
    reports = (*shown.reports, *(_lost(what, why) for why in lost))
    if not reports:
        raise Failed(f"no gate has reported on {what}; see `headgate show {what}`.")
    return ShownEvidence(what, reports)


async def _of_run(store: StoreReader, artifacts: Artifacts, run: Run, drawn: bool) -> ShownEvidence:
    if run.live:
        raise Failed(
            f"{run.id} has not ended, so its gates have not all reported; `headgate show {run.id}` "
            "shows its progress."
        )
    graph = await store.get(Key("graph", run.id))
    found, _ = await _reports_of(artifacts, run)
    if drawn:
        found = await with_earlier(store, artifacts, run, found)
    reports = completed(run, parsed(Graph, graph.body) if graph else None, found)
    if not reports:
        raise Failed(f"{run.id} has no gates; `headgate show {run.id}` shows its steps.")
    why = why_ended(run)
    title = f"{run.id} {run.outcome}" + (f": {one_line(why)}" if why else "")
    return ShownEvidence(title, reports)


async def validation_results(store: StoreReader, artifacts: Artifacts, what: str) -> str:
    """The validation results of the data gates of a run, or of the run of a model version, each a
    line of JSON. Raises `Failed` if there are none."""
    shown = await find(store, artifacts, what)
    name = shown.version.run if isinstance(shown, ShownVersion) else what
    record = await store.get(Key("run", name))
    nodes = parsed(Run, record.body).nodes.values() if record else ()
    outputs = [node.outputs or {} for node in nodes]
    digests = [each[VALIDATION] for each in outputs if VALIDATION in each]
    if not digests:
        raise Failed(
            f"{what} has no validation results: none of its data gates has ended, or an older "
            f"Headgate judged. `headgate show {what}` shows what there is."
        )
    found = [json.loads(await artifacts.read_bytes(digest)) for digest in digests]
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in found)


def _lost(what: str, why: str) -> Report:
    check = Check(name="report", verdict=Verdict.ERROR, message=why)
    return Report(gate="model", subject=what, checks=(check,))


def _digests(run: Run) -> dict[str, str]:
    """The digests of the gates' reports, by gate."""
    return {
        name: node.outputs["report"]
        for name, node in run.nodes.items()
        if node.verdict is not None and node.outputs and "report" in node.outputs
    }
