"""PURE. What commands show, as values: the documented shape of `--json`, made from the states."""

from collections.abc import Mapping, Sequence
from typing import Literal

from controller.machine.core import Value
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.job import BatchJob
from controller.machine.environments.rollout import EndedRollout, Rollout, weights
from controller.machine.pipelines.pipeline import PipelineState, line_of
from controller.machine.pipelines.version import ModelVersion, Quarantined, Ref
from controller.machine.runs.attempt import AttemptState, Building
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import Progress, Run, why_ended
from controller.machine.stall import Stall
from controller.machine.words import fit
from controller.store.protocol import OutboxEntry
from deployers.protocol import Silence
from validators.canary import CanaryDecision
from validators.canary.evidence import headline, report
from validators.canary.switch import headline as headline_of
from validators.figures import percent
from validators.verdict import Verdict


class NodeView(Value):
    """A step or gate of a run."""

    name: str
    phase: Literal["waiting", "running", "cached", "succeeded", "failed", "skipped"]
    verdict: Verdict | None = None
    """Of a gate."""
    cached_from: str | None = None
    """The run that made the result."""
    attempts: int = 0
    since: float | None = None
    """When its last attempt was asked for, in seconds since the epoch."""
    seconds: float | None = None
    """How long the last attempt took, once it ended."""
    waits_for: tuple[str, ...] = ()
    detail: str = ""
    """Why it failed or was skipped, or how its last try ended."""


class RunView(Value):
    """A run. Times in seconds since the epoch."""

    id: str
    pipeline: str
    branch: str
    commit: str
    trigger: str
    why: str
    outcome: Literal["running", "passed", "failed", "stopped", "cancelled"]
    waits_for: str | None = None
    """The store or engine that keeps it from going on, and the mend."""
    ended_by: str
    """What ended a run that did not pass."""
    created: float
    finished: float | None = None
    baseline: int | None = None
    datasets: Mapping[str, str] = {}
    environments: tuple[NodeView, ...] = ()
    """What had to be built before its steps could start, as steps."""
    nodes: tuple[NodeView, ...] = ()


class SignalView(Value):
    """One signal of a canary, as the judge sees it."""

    signal: str
    verdict: Verdict
    canary: float | str | None
    stable: float | str | None
    limit: str | None
    n: int | None
    """Canary requests."""


class RolloutView(Value):
    """A rollout in progress. Weights are shares from 0 to 1."""

    id: str
    version: Ref
    kind: Literal["release", "wish", "revert"]
    phase: Literal["approval", "starting", "smoke", "canary", "promoting"]
    why: str
    by: str
    asked: float
    weight: float = 0.0
    weights: tuple[float, ...] = ()
    signals: tuple[SignalView, ...] = ()
    headline: str = ""
    """What the judge says, with what the rollout waits for."""
    held: str | None = None
    forecast: str | None = None
    """As its canary began: why it will not be decided by its deadline, if it will not."""
    paused: str | None = None
    """Who paused it, while that keeps it from being promoted."""


class WarmView(Value):
    """The version that a switch left; its server runs on without traffic."""

    version: Ref
    until: float
    """In seconds since the epoch."""
    said: str
    """What is watched, and what was seen."""


class JobView(Value):
    """The last run of a batch command."""

    version: Ref
    why: str
    asked: float
    """In seconds since the epoch."""
    ended: float | None = None
    failed: str | None = None
    """Why it is no success."""
    outputs: tuple[str, ...] = ()
    """What it wrote, by name: `headgate export` has them."""


class EnvironmentView(Value):
    """What one environment of a pipeline runs."""

    name: str
    stable: Ref | None
    points: bool = False
    """Whether no server answers there, as its release is a batch."""
    job: JobView | None = None
    since: float | None = None
    """When that version came into service."""
    address: str | None = None
    """Where it answers, if that is known here."""
    silence: Silence | None = None
    """Given while the router keeps all traffic from the canary, as no controller gives it word."""
    rollout: RolloutView | None = None
    warm: WarmView | None = None
    stopped: Ref | None = None
    """The version of the last rollout that did not end in a promotion."""
    quarantine: tuple[Quarantined, ...] = ()
    pinned: str | None = None
    paused: str | None = None
    alerts: tuple[str, ...] = ()
    unready_since: float | None = None
    unwritten: bool = False
    """Whether the environments branch does not say yet what runs."""
    unknown: str | None = None
    """Why nothing is released: the branch names what the state does not know."""
    lost: str | None = None
    """What became of the branch, where somebody pushed over it since the last promotion."""


class WantedView(Value):
    """A run that is asked for and has not begun."""

    branch: str
    why: str
    waits_for: str


class ScheduleView(Value):
    """When a pipeline runs by the clock."""

    cron: str
    timezone: str
    next: float | None
    """When that is next, in seconds since the epoch."""


class PipelineView(Value):
    """A pipeline with its environments and the runs worth showing."""

    name: str
    repository: str
    branch: str
    commit: str | None
    invalid: str | None = None
    """What is wrong with the spec at that commit; nothing runs before it is mended."""
    held_back: str | None = None
    """What data counts for nothing yet, and why: `dataset flights has newer data, and its marker
    _SUCCESS is older than b.csv`."""
    schedule: ScheduleView | None = None
    wanted: tuple[WantedView, ...] = ()
    alerts: tuple[str, ...] = ()
    environments: tuple[EnvironmentView, ...] = ()
    runs: tuple[RunView, ...] = ()
    """Those in progress, and the newest that ended."""


class OwedView(Value):
    """An effect that was tried and failed, and is tried again."""

    owner: str
    action: str
    attempts: int
    error: str
    next_try: float


class TroubleView(Value):
    """Something that does not get on, of which somebody was told."""

    of: str
    """`run/flights-3`, `pipeline/flights`, `repository/team`, `queue/lake-events` ..."""
    reason: str
    """What is waited for, and the mend."""
    since: float | None
    """In seconds since the epoch."""


class StatusSnapshot(Value):
    """Everything that `status` shows, at one moment."""

    at: float
    pipelines: tuple[PipelineView, ...] = ()
    failing: tuple[OwedView, ...] = ()
    troubles: tuple[TroubleView, ...] = ()
    """Those that stand, the oldest first."""
    controller: int | None = None
    """The controller's process, if one runs."""
    resting: tuple[str, ...] = ()
    """Repositories that are not in the settings any more."""


def run_view(run: Run, graph: Graph | None = None) -> RunView:
    """A run; the graph tells what its steps wait for."""
    needs = {node.name: node.needs for node in graph.nodes} if graph else {}
    names = list(dict.fromkeys([*needs, *run.nodes]))
    return RunView(
        id=run.id,
        pipeline=run.pipeline,
        branch=run.branch,
        commit=run.commit,
        trigger=run.trigger.kind,
        why=run.trigger.why,
        outcome=run.outcome,
        waits_for=run.waits_for,
        ended_by=why_ended(run) if run.finished is not None else "",
        created=run.created,
        finished=run.finished,
        baseline=run.baseline,
        datasets=run.datasets,
        environments=tuple(_building_view(one) for one in run.built),
        nodes=tuple(_node_view(run, name, needs.get(name, ())) for name in names),
    )


def _building_view(building: Building) -> NodeView:
    going_on = "running" if building.seconds is None else "succeeded"
    return NodeView(
        name=building.what,
        phase="failed" if building.failed else going_on,
        since=building.since,
        seconds=building.seconds,
        detail=building.failed or f"building the {building.what}" * (building.seconds is None),
    )


def _node_view(run: Run, name: str, needs: Sequence[str]) -> NodeView:
    progress = run.nodes.get(name, Progress())
    last = progress.attempts[-1] if progress.attempts else None
    status = last.status if last else None
    seconds = None
    if status and status.ended is not None:
        seconds = max(0.0, status.ended - (status.started or status.ended))
    waits = [n for n in needs if not run.nodes.get(n, Progress()).done]
    lacks = [one.what for one in run.built if name in one.waiting]
    phase = "waiting" if lacks else progress.phase
    detail = fit(progress.failed or progress.skipped or "")
    if not detail and status is not None and status.state is not AttemptState.SUCCEEDED:
        detail = f"tried again: {status.message or status.state.value}"
    return NodeView(
        name=name,
        phase=phase,
        verdict=progress.verdict,
        cached_from=progress.cached_from,
        attempts=len(progress.attempts),
        since=last.asked if last else None,
        seconds=seconds,
        waits_for=(*lacks, *waits) if phase == "waiting" else (),
        detail=detail,
    )


def environment_view(
    env: EnvironmentState,
    version: ModelVersion | None,
    ended: Sequence[EndedRollout] = (),
    address: str | None = None,
    silence: Silence | None = None,
) -> EnvironmentView:
    """An environment; `version` is the rollout's, `ended` its ended rollouts, newest first."""
    since = next(
        (e.at for e in ended if e.outcome == "promoted" and e.rollout.version == env.stable), None
    )
    rollout = None
    if env.rollout is not None and version is not None:
        rollout = _rollout_view(env, env.rollout, version)
        if silence is not None:
            rollout = rollout.model_copy(update={"weight": 0.0})
    return EnvironmentView(
        name=env.name,
        stable=env.stable,
        points=env.points,
        job=_job_view(env.job) if env.job is not None else None,
        since=since,
        address=address,
        silence=silence,
        rollout=rollout,
        warm=_warm_view(env),
        stopped=env.stopped.version if env.stopped else None,
        quarantine=env.quarantine,
        pinned=env.pinned,
        paused=env.paused,
        alerts=env.alerts,
        unready_since=env.unready_since,
        unwritten=env.write is not None,
        unknown=env.unknown,
        lost=env.lost,
    )


def _job_view(job: BatchJob) -> JobView:
    return JobView(
        version=job.version,
        why=job.why,
        asked=job.asked,
        ended=job.ended,
        failed=job.failed,
        outputs=tuple(job.outputs),
    )


def _warm_view(env: EnvironmentState) -> WarmView | None:
    warm = env.warm
    if warm is None:
        return None
    said = headline_of(warm.watched, f"v{warm.version.version}") if warm.watched else ""
    return WarmView(version=warm.version, until=warm.until, said=said)


def _rollout_view(env: EnvironmentState, rollout: Rollout, version: ModelVersion) -> RolloutView:
    shares = weights(version) if version.spec.release else ()
    phase = rollout.phase(version.spec, env.name, has_stable=env.has_server)
    judgement = rollout.judgement
    signals: tuple[SignalView, ...] = ()
    if judgement is not None:
        named = {each.signal for each in judgement.every}
        signals = tuple(
            SignalView(
                signal=check.name,
                verdict=check.verdict,
                canary=check.observed,
                stable=check.baseline,
                limit=check.limit,
                n=check.n,
            )
            for check in report(judgement, rollout.id, rollout.judge).checks
            if check.name in named
        )
    return RolloutView(
        id=rollout.id,
        version=rollout.version,
        kind=rollout.kind,
        phase=phase,
        why=rollout.why,
        by=rollout.by,
        asked=rollout.asked,
        weight=shares[rollout.step] if 0 <= rollout.step < len(shares) else 0.0,
        weights=shares if phase == "canary" else (),
        signals=signals,
        headline=_stands(env, rollout, shares),
        held=rollout.held,
        forecast=rollout.forecast if rollout.decided is None else None,
        paused=_paused(env, rollout),
    )


def _paused(env: EnvironmentState, rollout: Rollout) -> str | None:
    """Who keeps it from being promoted: a way back and what is decided go on."""
    return env.paused if rollout.kind == "release" and rollout.decided is None else None


def _stands(env: EnvironmentState, rollout: Rollout, shares: Sequence[float]) -> str:
    """What the judge says, after what keeps that from being carried out."""
    judgement = rollout.judgement
    if judgement is None:
        return ""
    said = headline(judgement, rollout.judge)
    if paused := _paused(env, rollout):
        return f"Paused by {paused}: `headgate resume` lets it go on. {said}"
    if judgement.decision is CanaryDecision.PROMOTE and rollout.step + 1 < len(shares):
        return f"Goes on to {percent(shares[rollout.step + 1])}. {said}"
    return said


def pipeline_view(
    pipeline: PipelineState,
    environments: Sequence[EnvironmentView],
    runs: Sequence[RunView],
    schedule: ScheduleView | None = None,
) -> PipelineView:
    """A pipeline with its parts."""
    wanted = tuple(
        WantedView(
            branch=branch,
            why=one.trigger.why,
            waits_for=pipeline.active.get(branch) or pipeline.waits_for or "its turn",
        )
        for branch in sorted(pipeline.wanted)
        for one in line_of(pipeline, branch)
    )
    return PipelineView(
        name=pipeline.name,
        repository=pipeline.repository,
        branch=pipeline.default_branch,
        commit=pipeline.heads.get(pipeline.default_branch),
        invalid=pipeline.invalid,
        held_back=pipeline.held_back,
        schedule=schedule,
        wanted=wanted,
        alerts=pipeline.alerts,
        environments=tuple(environments),
        runs=tuple(runs),
    )


def trouble_view(trouble: Stall) -> TroubleView:
    """A trouble that stands."""
    return TroubleView(of=trouble.of, reason=trouble.reason, since=trouble.since)


def owed_view(owed: OutboxEntry) -> OwedView:
    """An owed action that has failed."""
    return OwedView(
        owner=str(owed.owner),
        action=str(owed.action.get("type", "?")),
        attempts=owed.attempts,
        error=owed.error or "",
        next_try=owed.not_before,
    )
