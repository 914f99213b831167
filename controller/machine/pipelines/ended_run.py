"""PURE. What follows when a run of the default branch ends: alerts, and a model version."""

from collections.abc import Sequence

from controller.machine import run_incidents
from controller.machine.actions import Incident, NotifyStatus
from controller.machine.core import Envelope, Fact, Key
from controller.machine.decision_builder import DecisionBuilder
from controller.machine.messages import ReleaseRequested, RunEnded
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.graph import SourceTree
from controller.machine.runs.node_names import gate_name, own_data_gates
from controller.machine.runs.referenced_files import within_reach
from controller.machine.runs.run import Run
from specs.model import Pipeline as Spec
from specs.notifications import Notification, NotifyEvent
from validators.report import Report


def update_alerts(
    firing: Sequence[str],
    run: Run,
    spec: Spec,
    reports: Sequence[Report],
    out: DecisionBuilder,
    older: str | None = None,
) -> tuple[str, ...]:
    """The alerts that fire after the run. People are notified once for each gate that stops the
    default branch, once when its runs fail, and when they pass again."""
    if run.outcome == "passed":
        # On older data, a gate has not passed what it stopped.
        gates = [gate for one in run.fallbacks for gate in own_data_gates(one.dataset)]
        failing = tuple(f"{_gate_prefix(run.pipeline)}{gate_name(gate)}/" for gate in gates)
        still = tuple(name for name in firing if failing and name.startswith(failing))
        over = [name for name in firing if name not in still]
        resolve_alerts(over, spec.notify, run_incidents.passed_again(run), out)
        return still
    if run.outcome not in ("stopped", "failed"):
        return tuple(firing)
    gate = run.outcome == "stopped"
    kind = _gate_prefix(run.pipeline) + f"{_stopped_by(run)}/" if gate else f"{run.pipeline}/run/"
    if any(one.startswith(kind) for one in firing):
        return tuple(firing)  # people were notified, and the commit has this run's report
    incident = (
        run_incidents.gate_failed(run, reports, older) if gate else run_incidents.run_failed(run)
    )
    if spec.release is not None and spec.release.batch is not None:
        stays = "what it pointed to before; production is unchanged"
        incident = incident.model_copy(update={"points": True, "now": stays})
    name = f"{kind}{run.id}"
    _notify(spec.notify, "firing", name, incident, out)
    return (*firing, name)


def resolve_alerts(
    firing: Sequence[str], to: Sequence[Notification], incident: Incident, out: DecisionBuilder
) -> None:
    """Notify that the firing alerts are resolved."""
    for name in firing:
        _notify(to, "resolved", name, incident, out)


def version_of(
    run: Run, spec: Spec, source: SourceTree, ended: RunEnded, number: int, now: float
) -> ModelVersion:
    """The model version that a run produced; `ended` is its last message."""
    return ModelVersion(
        pipeline=run.pipeline,
        number=number,
        digest=ended.package or "",
        model=ended.model or "",
        run=run.id,
        source=within_reach(spec, source),
        branch=run.branch,
        datasets=run.datasets,
        verdicts=ended.verdicts,
        reports=ended.reports,
        accepted_versions=tuple(
            one for node in run.nodes.values() if (one := run.accepted_version(node))
        ),
        fallbacks=run.fallbacks,
        spec=spec,
        created=now,
    )


def facts_of(version: ModelVersion) -> list[Fact]:
    """Records a version, by its number and by its package digest."""
    name = f"{version.pipeline}/{version.number}"
    return [
        Fact(key=Key("model", name), body=version.model_dump(mode="json")),
        Fact(
            key=Key("package", f"{version.pipeline}/{version.digest}"),
            body={"number": version.number},
        ),
    ]


def request_release(run: Run, number: int, package: str) -> Envelope:
    """Asks staging to roll out the version."""
    message = ReleaseRequested(
        version=number,
        digest=package,
        repository=run.repository,
        run=run.id,
        commit=run.commit,
        why=f"{run.id} passed its gates: {run.trigger.why}",
    )
    to = Key("environment", f"{run.pipeline}/staging")
    return Envelope(to=to, id=f"release/{run.id}", message=message)


def _gate_prefix(pipeline: str) -> str:
    """The prefix of the names of alerts about gates."""
    return f"{pipeline}/gate/"


def _stopped_by(run: Run) -> str:
    """The gate that stopped the run. Each gate has an alert of its own."""
    verdicts = run.verdicts.items()
    return next(gate for gate, verdict in verdicts if not verdict.passes)


def _notify(
    to: Sequence[Notification],
    status: NotifyStatus,
    name: str,
    incident: Incident,
    out: DecisionBuilder,
) -> None:
    gate = name.startswith(_gate_prefix(incident.pipeline))
    event: NotifyEvent = "gate_failed" if gate else "run_failed"
    asked = (one.to for one in to if event in one.on)
    out.notify(event, status, name, asked, incident)
