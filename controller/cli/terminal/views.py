"""PURE. What commands show, as values made from stored objects: the documented `--json` format."""

from collections.abc import Mapping, Sequence

from controller.machine.core import Value
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.job import BatchJob
from controller.machine.environments.rollout import EndedRollout, Kind, Phase, Rollout, weights
from controller.machine.error_text import without_traceback
from controller.machine.pipelines.failing_data import in_use
from controller.machine.pipelines.pipeline import KEEPS, PipelineState, queue_of
from controller.machine.pipelines.version import ModelVersion, Quarantined, Ref
from controller.machine.runs.attempt import AttemptState, Building
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import NodePhase, Outcome, Progress, Run, why_ended
from controller.machine.stall import Stall
from controller.reconcile.inbox import SET_ASIDE_FIX
from controller.store.protocol import Delivered, OutboxEntry
from deployers.protocol import Silence
from specs.figures import percent
from validators.canary import CanaryDecision
from validators.canary.evidence import headline, report
from validators.canary.switch import headline as headline_of
from validators.verdict import Verdict


class NodeView(Value):
    """A step or gate of a run."""

    name: str
    phase: NodePhase
    verdict: Verdict | None = None
    """Only for a gate."""
    cached_from: str | None = None
    """The run that produced the cached result."""
    attempts: int = 0
    since: float | None = None
    """When its last attempt was started, in seconds since the epoch."""
    seconds: float | None = None
    """How long the last attempt took, once it has ended."""
    waits_for: tuple[str, ...] = ()
    detail: str = ""
    """Why it failed or was skipped, who overruled it, or how its last attempt ended."""


class RunView(Value):
    """A run. Times are in seconds since the epoch."""

    id: str
    pipeline: str
    branch: str
    commit: str
    trigger: str
    why: str
    outcome: Outcome
    waits_for: str | None = None
    """The store or engine that it cannot reach, and the fix."""
    ended_by: str
    """Why a run that did not pass ended."""
    created: float
    finished: float | None = None
    baseline: int | None = None
    datasets: Mapping[str, str] = {}
    environments: tuple[NodeView, ...] = ()
    """The environments that had to be built before its steps could start."""
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
    kind: Kind
    phase: Phase
    why: str
    by: str
    asked: float
    weight: float = 0.0
    weights: tuple[float, ...] = ()
    signals: tuple[SignalView, ...] = ()
    headline: str = ""
    """What the judge says, and what the rollout is waiting for."""
    held: str | None = None
    forecast: str | None = None
    """Why its traffic is too low to decide by the deadline, as estimated when the canary began."""
    paused: str | None = None
    """Who paused it, while the pause keeps it from being promoted."""


class WarmView(Value):
    """The previous version after a switch, whose server stays up without traffic."""

    version: Ref
    until: float
    """In seconds since the epoch."""
    said: str
    """What is being watched, and what was observed."""


class JobView(Value):
    """The last run of a batch command."""

    version: Ref
    why: str
    asked: float
    """In seconds since the epoch."""
    ended: float | None = None
    failed: str | None = None
    """Why it failed."""
    outputs: tuple[str, ...] = ()
    """The names of its outputs, which `headgate export` can write to files."""


class EnvironmentView(Value):
    """What one environment of a pipeline runs."""

    name: str
    stable: Ref | None
    points: bool = False
    """Whether it only points to a model, for a batch command, and has no server."""
    job: JobView | None = None
    since: float | None = None
    """When that version was promoted."""
    address: str | None = None
    """The address that it serves at, if it is known on this machine."""
    silence: Silence | None = None
    """Set while the router keeps traffic from the canary because no controller reports to it."""
    rollout: RolloutView | None = None
    warm: WarmView | None = None
    stopped: Ref | None = None
    """The version of the last rollout, if that was not promoted."""
    quarantine: tuple[Quarantined, ...] = ()
    pinned: str | None = None
    paused: str | None = None
    alerts: tuple[str, ...] = ()
    unready_since: float | None = None
    unwritten: bool = False
    """Whether what runs has yet to be recorded on the environments branch."""
    unknown: str | None = None
    """Why it cannot release: the environments branch names a version unknown to the state."""
    lost: str | None = None
    """What happened to the branch, if it was force-pushed since the last promotion."""


class WantedView(Value):
    """A requested run that has not started."""

    branch: str
    why: str
    waits_for: str


class ScheduleView(Value):
    """The schedule of a pipeline."""

    cron: str
    timezone: str
    next: float | None
    """The next scheduled time, in seconds since the epoch."""


class PipelineView(Value):
    """A pipeline with its environments and the runs worth showing."""

    name: str
    repository: str
    branch: str
    commit: str | None
    invalid: str | None = None
    """What is wrong with the spec at that commit; nothing runs until it is fixed."""
    gone: str | None = None
    """What becomes of it, once its spec is no longer on the branch."""
    held_back: str | None = None
    """Which new data is not used yet, and why: `dataset flights has newer data, and its marker
    _SUCCESS is older than b.csv`."""
    accepted: tuple[str, ...] = ()
    """The dataset versions that a person accepted although their gates did not pass, and that runs
    may read now: who, when and why."""
    schedule: ScheduleView | None = None
    wanted: tuple[WantedView, ...] = ()
    alerts: tuple[str, ...] = ()
    environments: tuple[EnvironmentView, ...] = ()
    runs: tuple[RunView, ...] = ()
    """The runs in progress, and the last one that ended."""

    @property
    def is_over(self) -> bool:
        """Whether its spec is gone, and nothing of it is left that anybody may have to look at."""
        empty = all(
            one == EnvironmentView(name=one.name, points=one.points, stable=None)
            for one in self.environments
        )
        live = any(run.outcome == "running" for run in self.runs)
        return self.gone is not None and empty and not (live or self.wanted or self.alerts)


class FailingActionView(Value):
    """An action in the outbox that has failed and will be retried."""

    owner: str
    action: str
    attempts: int
    error: str
    next_try: float


class StallView(Value):
    """An object that makes no progress, about which a person was notified."""

    of: str
    """`run/flights-3`, `pipeline/flights`, `repository/team`, `queue/lake-events` ..."""
    reason: str
    """What it is waiting for, and the fix."""
    since: float | None
    """In seconds since the epoch."""


class SetAsideView(Value):
    """A message that was set aside because it could not be read or handled."""

    to: str
    """The object that it was sent to: `environment/flights/production`."""
    type: str
    text: str
    """The message, as JSON."""
    sent: float
    """In seconds since the epoch."""
    since: float
    """When it was set aside, in seconds since the epoch."""
    reason: str
    fix: str


class StatusSnapshot(Value):
    """Everything that `status` shows, at one moment."""

    at: float
    pipelines: tuple[PipelineView, ...] = ()
    failing: tuple[FailingActionView, ...] = ()
    stalls: tuple[StallView, ...] = ()
    """Those that are not over, the oldest first."""
    set_aside: tuple[SetAsideView, ...] = ()
    """The oldest first."""
    controller: int | None = None
    """The controller's process, if one runs."""
    resting: tuple[str, ...] = ()
    """Repositories that are no longer in the settings."""
    controllers: tuple[str, ...] = ()
    """Those that share the work, where there are several."""
    holders: Mapping[str, str] = {}
    """Which of them has each pipeline; empty while none has it."""


def run_view(run: Run, graph: Graph | None = None) -> RunView:
    """The view of a run. With its graph, it also says what each step is waiting for."""
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
    built: NodePhase = "running" if building.seconds is None else "succeeded"
    return NodeView(
        name=building.what,
        phase="failed" if building.failed else built,
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
    phase: NodePhase = "waiting" if lacks else progress.phase
    accepted = run.accepted_version(progress)
    overruled = str(accepted) if accepted is not None else ""
    detail = without_traceback(progress.failed or progress.skipped or overruled)
    if not detail and status is not None and status.state is not AttemptState.SUCCEEDED:
        detail = f"retried: {status.message or status.state.value}"
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
    promoted: EndedRollout | None = None,
    address: str | None = None,
    silence: Silence | None = None,
) -> EnvironmentView:
    """The view of an environment: `version` is the one that its rollout releases, `promoted` the
    rollout that brought what it serves, if that is known."""
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
        since=promoted.at if promoted is not None else None,
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
        lost=env.lost_history,
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
        headline=_headline(env, rollout, shares),
        held=rollout.held,
        forecast=rollout.forecast if rollout.decided is None else None,
        paused=_paused(env, rollout),
    )


def _paused(env: EnvironmentState, rollout: Rollout) -> str | None:
    """Who paused it, if it can be paused: a rollback or a decided rollout goes ahead anyway."""
    return env.paused if rollout.kind == "release" and rollout.decided is None else None


def _headline(env: EnvironmentState, rollout: Rollout, shares: Sequence[float]) -> str:
    """What the judge says, and what keeps that from being carried out or happens next."""
    judgement = rollout.judgement
    if judgement is None:
        return ""
    said = headline(judgement, rollout.judge)
    if rollout.unheard and rollout.decided is None:
        said = f"Its requests are not known now: {rollout.unheard}. {said}"
    if paused := _paused(env, rollout):
        return f"Paused by {paused}; continue with `headgate resume`. {said}"
    if judgement.decision is CanaryDecision.PROMOTE and rollout.step + 1 < len(shares):
        return f"Next step: {percent(shares[rollout.step + 1])}. {said}"
    return said


def pipeline_view(
    pipeline: PipelineState,
    environments: Sequence[EnvironmentView],
    runs: Sequence[RunView],
    schedule: ScheduleView | None = None,
) -> PipelineView:
    """The view of a pipeline, with those of its environments and runs."""
    wanted = tuple(
        WantedView(
            branch=branch,
            why=one.trigger.why,
            waits_for=pipeline.active.get(branch) or pipeline.waits_for or "the controller",
        )
        for branch in sorted(pipeline.wanted)
        for one in queue_of(pipeline, branch)
    )
    return PipelineView(
        name=pipeline.name,
        repository=pipeline.repository,
        branch=pipeline.default_branch,
        commit=pipeline.heads.get(pipeline.default_branch),
        invalid=pipeline.invalid,
        gone=f"{pipeline.gone}; {KEEPS}" if pipeline.gone is not None else None,
        held_back=pipeline.held_back,
        accepted=tuple(one.in_full for one in in_use(pipeline)),
        schedule=schedule,
        wanted=wanted,
        alerts=pipeline.alerts,
        environments=tuple(environments),
        runs=tuple(runs),
    )


def stall_view(stall: Stall) -> StallView:
    """The view of a stall."""
    return StallView(of=stall.of, reason=stall.reason, since=stall.since)


def set_aside_view(message: Delivered) -> SetAsideView:
    """The view of a message that was set aside."""
    return SetAsideView(
        to=str(message.to),
        type=message.type,
        text=message.text,
        sent=message.at,
        since=message.set_aside or message.at,
        reason=message.reason or "",
        fix=SET_ASIDE_FIX,
    )


def failing_action_view(entry: OutboxEntry) -> FailingActionView:
    """The view of an action that has failed."""
    return FailingActionView(
        owner=str(entry.owner),
        action=str(entry.action.get("type", "?")),
        attempts=entry.attempts,
        error=entry.error or "",
        next_try=entry.not_before,
    )
