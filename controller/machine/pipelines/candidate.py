"""PURE. What becomes of a run of the default branch that ended: whom it concerns, and a version."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from controller.machine import run_incidents
from controller.machine.actions import Incident, Notify
from controller.machine.core import Fact, Key, Message
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.graph import SourceTree
from controller.machine.runs.run import Run
from specs.model import Notification
from specs.model import Pipeline as Spec
from validators.report import Report
from validators.verdict import Verdict


def alert(
    firing: Sequence[str], run: Run, spec: Spec, reports: Sequence[Report]
) -> tuple[tuple[str, ...], list[Notify]]:
    """The alerts that fire now, and what to tell on-call: once for each gate that stops
    the default branch, once that its runs fail, and that they pass again."""
    if run.outcome == "passed":
        return (), resolve(firing, spec.notify, run_incidents.passed_again(run))
    if run.outcome not in ("stopped", "failed"):
        return tuple(firing), []
    gate = run.outcome == "stopped"
    kind = _gates(run.pipeline) + f"{_stopped_by(run)}/" if gate else f"{run.pipeline}/run/"
    if any(one.startswith(kind) for one in firing):
        return tuple(firing), []  # they know, and the commit has this run's report
    incident = run_incidents.gate_failed(run, reports) if gate else run_incidents.run_failed(run)
    if spec.release is not None and spec.release.batch is not None:
        stays = "what it pointed to before; production is unchanged"
        incident = incident.model_copy(update={"points": True, "now": stays})
    name = f"{kind}{run.id}"
    return (*firing, name), [_notify(spec.notify, gate, "firing", name, incident)]


def resolve(firing: Sequence[str], to: Sequence[Notification], incident: Incident) -> list[Notify]:
    """The end of alerts that fire."""
    gates = _gates(incident.pipeline)
    return [_notify(to, one.startswith(gates), "resolved", one, incident) for one in firing]


def version_of(
    run: Run, spec: Spec, source: SourceTree, ended: Mapping[str, Any], number: int, now: float
) -> ModelVersion:
    """The model version that a run made; `ended` is what it said at its end."""
    return ModelVersion(
        pipeline=run.pipeline,
        number=number,
        digest=ended["package"],
        model=ended["model"],
        run=run.id,
        source=source,
        branch=run.branch,
        datasets=run.datasets,
        verdicts={gate: Verdict(v) for gate, v in ended["verdicts"].items()},
        reports=ended["reports"],
        spec=spec,
        created=now,
    )


def facts_of(version: ModelVersion) -> list[Fact]:
    """What makes a version known, by its number and by its package."""
    name = f"{version.pipeline}/{version.number}"
    return [
        Fact(key=Key("model", name), body=version.model_dump(mode="json")),
        Fact(
            key=Key("package", f"{version.pipeline}/{version.digest}"),
            body={"number": version.number},
        ),
    ]


def release(run: Run, number: int, package: str) -> Message:
    """Asks staging for a rollout of the version."""
    return Message(
        to=Key("environment", f"{run.pipeline}/staging"),
        id=f"release/{run.id}",
        type="release",
        body={
            "version": number,
            "digest": package,
            "repository": run.repository,
            "run": run.id,
            "commit": run.commit,
            "why": f"{run.id} passed its gates: {run.trigger.why}",
        },
    )


def _gates(pipeline: str) -> str:
    """What the names of alerts about gates begin with."""
    return f"{pipeline}/gate/"


def _stopped_by(run: Run) -> str:
    """The gate that stopped the run: bad data is another story than a worse model."""
    verdicts = run.verdicts.items()
    return next(gate for gate, verdict in verdicts if not verdict.passes)


def _notify(
    to: Sequence[Notification],
    gate: bool,
    status: Literal["firing", "resolved"],
    name: str,
    incident: Incident,
) -> Notify:
    event: Literal["gate_failed", "run_failed"] = "gate_failed" if gate else "run_failed"
    asked = tuple(one.to for one in to if event in one.on)
    return Notify(event=event, status=status, alert=name, to=asked, incident=incident)
