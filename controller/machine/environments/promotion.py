"""PURE. How an environment comes to run another version: one decision at a time, from release to
promotion or rollback."""

from collections.abc import Sequence

from controller.machine import canary_incidents, incidents
from controller.machine.actions import RunSmoke, WriteEnvironment
from controller.machine.core import Decision, Envelope, InboxMessage, Key
from controller.machine.environments import batch, blue_green, deployment_reports, proposal
from controller.machine.environments.adopting import adopt
from controller.machine.environments.alerts import (
    background,
    notify,
    resolve,
    resolve_rollbacks,
    serving,
    watch_stable,
)
from controller.machine.environments.branch import (
    correct_file,
    handle_lost_history,
    rebase_write,
    watch_write,
)
from controller.machine.environments.ending import (
    promote,
    report_of,
    stop,
)
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    ObservedEnvironment,
    RolloutDecisionBuilder,
    converge,
    server_name,
    with_rollout,
)
from controller.machine.environments.handlers import HANDLERS
from controller.machine.environments.human_edits import follow_edit
from controller.machine.environments.needs import repository_of
from controller.machine.environments.rollout import (
    Cursor,
    Rollout,
    begin_canary,
    blocks_undecided,
    extended,
    grow,
    has_judge,
    may_promote,
    watch,
)
from controller.machine.error_text import without_traceback
from controller.machine.messages import EnvironmentWritten
from controller.machine.pipelines.version import ModelVersion
from deployers.protocol import Silence
from specs.figures import duration
from validators.canary import CanaryDecision
from validators.canary.evidence import headline

AT_ONCE, SERVING, STARTING, CANARY, WAITING = 0.0, 10.0, 0.2, 0.5, 5.0
"""Seconds to the next reconcile: while stable serves, while a server starts, during a canary,
waiting."""
SCHEDULED = 60.0
"""The most while a batch waits for its schedule: the clock may be set, or the machine sleep."""
WATCHED = 1.0
"""The same after a blue-green switch."""
UNREADY = 2.0
"""The same while stable is not ready: it may have to be started again."""
SMOKE_DEADLINE = 600.0
REFUSED = 60.0
"""Seconds until a deployment that failed for good is tried again."""


def decide(
    state: EnvironmentState | None,
    observed: ObservedEnvironment,
    inbox: Sequence[InboxMessage],
    now: float,
) -> Decision[EnvironmentState]:
    """Handle messages, follow the branch, advance the rollout, and converge what is deployed."""
    env = before = state or _begin(inbox)
    out = RolloutDecisionBuilder(observed.everyone)
    context = EnvironmentContext(observed, out, now)
    env = adopted = adopt(env, context)
    # A commit that was made is a fact: it comes before what people ask for.
    for each in sorted(inbox, key=lambda x: not isinstance(x.message, EnvironmentWritten)):
        env = HANDLERS[type(each.message)](env, each.message, context)
    stale = env.acted_on != adopted.acted_on  # the branch was observed before that commit
    if not stale:
        env = handle_lost_history(env, context)
        env = follow_edit(env, context)
        env = proposal.follow_pull_request(env, context)
    env = batch.record_end(env, context)
    if env.rollout is not None:
        env = _advance(env, env.rollout, context)
    env = blue_green.watch(env, context)
    env = batch.update(env, context)
    env = correct_file(env, context)
    env = _resend_deferred(env, out)
    env = watch_stable(env, context)
    env = watch_write(env, context)
    outdated = deployment_reports.report(before, env, context)
    outdated |= proposal.withdraw(before, env, out)
    env = _deploy(env, context)
    if env.unread != (stale or observed.unread):
        env = env.model_copy(update={"unread": stale or observed.unread})
    outdated |= _outdated_lanes(before, env, out)
    return Decision(
        state=env,
        actions=tuple(out.actions),
        messages=tuple(out.messages),
        facts=tuple(out.facts),
        withdraw=tuple(sorted(outdated)),
        requeue_after=AT_ONCE if stale else _cadence(env, context),
    )


def _begin(inbox: Sequence[InboxMessage]) -> EnvironmentState:
    repository = repository_of(None, inbox)
    pipeline, name = inbox[0].to.name.rsplit("/", 1)
    return EnvironmentState(pipeline=pipeline, name=name, repository=repository)


def _resend_deferred(env: EnvironmentState, out: RolloutDecisionBuilder) -> EnvironmentState:
    """Send the deferred release again, so that its version is observed like any other's."""
    if (
        env.deferred_release is None
        or env.pinned
        or env.unknown
        or (env.rollout and env.rollout.kind != "release")
    ):
        return env
    out.messages.append(
        Envelope(
            to=Key("environment", env.place),
            id=f"waited/{env.rollouts}/{env.acted_on}",
            message=env.deferred_release,
        )
    )
    return env.model_copy(update={"deferred_release": None})


def _deploy(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Ask for the deployment that is due; where none is, what should run does."""
    due = converge(env, context.observed)
    if due is None:
        done = incidents.ended(env.pipeline, env.name, serving(env, context))
        env = resolve(env, context.version(env.stable), "deploy", done, context.out)
        env = resolve_rollbacks(env, context)
        return env.model_copy(update={"refused": None})
    if due != env.deploy:
        env = env.model_copy(update={"deploy": due, "refused": None})
    if env.refused is None or context.now - env.refused >= REFUSED:
        context.out.actions.append(due)
    return env


def _outdated_lanes(
    before: EnvironmentState, env: EnvironmentState, out: RolloutDecisionBuilder
) -> set[str]:
    """The lanes whose older actions are replaced by this decision's. An action that is asked for
    again without a change is not: it stays in the outbox, with its back-off."""
    lanes = {action.lane for action in out.actions if isinstance(action, WriteEnvironment)}
    if before.write is not None and env.write is None:
        lanes.add(before.write.lane)
    if before.rollout is not None and (env.rollout is None or env.rollout.id != before.rollout.id):
        lanes.add(RunSmoke.lane)
    if env.deploy is not None and env.deploy != before.deploy:
        lanes.add(env.deploy.lane)
    return lanes


def _cadence(env: EnvironmentState, context: EnvironmentContext) -> float | None:
    """The seconds until it has to be looked at again; None if only a message can change it."""
    rollout, now = env.rollout, context.now
    if env.job is not None and env.job.open:
        return WAITING  # its end reconciles the environment at once
    if rollout is None:
        if _rests(env, context):
            due = context.observed.next_due
            return None if due is None else min(max(due - now, AT_ONCE), SCHEDULED)
        serves = WATCHED if env.warm is not None else SERVING
        return serves if env.unready_since is None else UNREADY
    if rollout.ready == now:
        return AT_ONCE  # the next phase needs other observations
    if rollout.deployed is not None and rollout.ready is None:
        return STARTING
    return CANARY if rollout.step >= 0 else WAITING


def _rests(env: EnvironmentState, context: EnvironmentContext) -> bool:
    """Whether nothing serves and nothing is on its way: to a server, to git, or from there."""
    serves = env.has_server or env.warm is not None
    pending = env.write is not None or env.unread
    return not (serves or pending) and converge(env, context.observed) is None


def _advance(
    env: EnvironmentState, rollout: Rollout, context: EnvironmentContext
) -> EnvironmentState:
    version = context.observed.versions[rollout.version.version]
    match rollout.phase(version.spec, env.name, has_stable=env.has_server):
        case "approval":
            return proposal.ask(env, rollout, version, context)
        case "starting":
            return _start(env, rollout, version, context)
        case "smoke":
            return _smoke(env, rollout, version, context)
        case "canary":
            return _canary(env, rollout, version, context)
        case "promoting":
            if rollout.smoke is not None and not rollout.smoke.verdict.passes:
                why = f"The smoke requests ended {rollout.smoke.verdict}."
                if rollout.points:
                    why = f"The batch command failed: {rollout.smoke.checks[0].message}"
                return stop(env, rollout, "failed", why, context)
            rollout = blue_green.with_former_counts(env, rollout, version, context.observed)
            env = env.model_copy(update={"rollout": rollout})
            return _promoting(env, rollout, context)


def _promoting(
    env: EnvironmentState, rollout: Rollout, context: EnvironmentContext
) -> EnvironmentState:
    """Promote, unless paused. While git does not accept the commit, keep judging."""
    if rollout.decided is None and rollout.kind == "release" and env.paused is not None:
        return env
    if has_judge(rollout):
        rollout = _judged(rollout, context)
        env = env.model_copy(update={"rollout": rollout})
        judgement = rollout.judgement
        if judgement is not None and judgement.decision is CanaryDecision.ROLLBACK:
            why = headline(judgement, rollout.judge)
            return stop(env, rollout, "rolled_back", why, context)
    if rollout.decided is None or env.write is None:
        return promote(env, rollout, context, by=rollout.by, why=rollout.why)
    return rebase_write(env, context.out)


def _judged(rollout: Rollout, context: EnvironmentContext) -> Rollout:
    """The rollout, judged by the router's records since the last look."""
    traffic, now = context.observed.traffic, context.now
    rollout = rollout.model_copy(update={"unheard": context.observed.unheard})
    if traffic is None:
        return watch(rollout, None, now)
    cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
    rollout = rollout.model_copy(update={"cursor": cursor})
    return watch(rollout, traffic, now)


def _start(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    if rollout.deployed is None:  # it has just been approved
        return with_rollout(env, rollout, deployed=context.now)
    assert version.spec.release is not None
    if version.spec.release.serve is None:  # there is no server to wait for
        return with_rollout(env, rollout, ready=context.now)
    server = context.observed.deployed.server(server_name(env.place, rollout.version))
    if server is not None and server.ready:
        return with_rollout(env, rollout, ready=context.now)
    deadline = version.spec.release.serve.startup_deadline.total_seconds()
    if context.now - rollout.deployed <= deadline:
        return env
    detail = without_traceback(server.detail) if server else "it was never started"
    why = f"The server of v{version.number} was not ready within {duration(deadline)}: {detail}"
    return stop(env, rollout, "failed", why, context)


def _smoke(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    if rollout.points:
        return batch.try_out(env, rollout, context)
    server = context.observed.deployed.server(server_name(env.place, version.ref))
    if rollout.smoke_asked is not None:
        if context.now - rollout.smoke_asked > SMOKE_DEADLINE:
            why = "The smoke requests did not finish."
            return stop(env, rollout, "failed", why, context)
        return env
    if server is None or server.address is None:
        return with_rollout(env, rollout, ready=None)  # it went away: start it again
    context.out.actions.append(
        RunSmoke(
            pipeline=env.pipeline,
            environment=env.name,
            rollout=rollout.id,
            version=version.number,
            address=server.address,
        )
    )
    return with_rollout(env, rollout, smoke_asked=context.now)


def _canary(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    """Judge the canary and act on the decision; without one, grow its share or wait."""
    if not has_judge(rollout):
        traffic = context.observed.traffic
        if traffic is not None:
            cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
            rollout = rollout.model_copy(update={"cursor": cursor})
        began = begin_canary(rollout, version, traffic, context.now)
        env = env.model_copy(update={"rollout": began})
        return _tell_of_forecast(env, began, began.forecast, context)
    silence, told = context.observed.deployed.silence, rollout.unwatched
    if silence is not None and silence.since != told:
        rollout = extended(rollout, max(0.0, context.now - silence.since))
    rollout = _judged(rollout, context)
    env = env.model_copy(update={"rollout": rollout})
    if silence is not None:  # the time without traffic is no baking time
        env = with_rollout(env, rollout, step_since=context.now, unwatched=silence.since)
        rollout = env.rollout or rollout
    judgement = rollout.judgement
    assert judgement is not None
    if judgement.decision is CanaryDecision.ROLLBACK:
        why = headline(judgement, rollout.judge)
        return stop(env, rollout, "rolled_back", why, context)
    if silence is not None:  # decide nothing else until it has its share again
        if silence.since != told:
            env = _tell_of_silence(env, rollout, silence, context)
        return env
    if judgement.decision is CanaryDecision.INCONCLUSIVE or rollout.differs:
        return _undecided(env, rollout, version, context)
    if env.paused is not None:
        return env
    if may_promote(rollout, version, context.now):
        return promote(env, rollout, context, by=rollout.by, why=headline(judgement))
    return env.model_copy(update={"rollout": grow(rollout, version, context.now)})


def _tell_of_forecast(
    env: EnvironmentState, rollout: Rollout, forecast: str | None, context: EnvironmentContext
) -> EnvironmentState:
    """Notify when the canary begins, and not only at its deadline."""
    if forecast is None:
        return env
    incident = canary_incidents.undecidable(
        env.pipeline,
        env.name,
        rollout.version,
        serving(env, context),
        forecast,
        background(env, rollout, context, "warned"),
    )
    version = context.version(rollout.version)
    return notify(
        env, version, "stuck", f"forecast/{rollout.id}", incident, context.out, status="info"
    )


def _tell_of_silence(
    env: EnvironmentState, rollout: Rollout, silence: Silence, context: EnvironmentContext
) -> EnvironmentState:
    """Notify once per silence; a rollback that follows is notified by itself."""
    incident = canary_incidents.unwatched(
        env.pipeline,
        env.name,
        rollout.version,
        serving(env, context),
        silence.limit,
        background(env, rollout, context, "the controller is back"),
    )
    version = context.version(rollout.version)
    name = f"unwatched/{rollout.id}/{silence.since:.0f}"
    return notify(env, version, "stuck", name, incident, context.out, status="info")


def _undecided(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    """The deadline passed without a decision: do what `on_inconclusive` says. A canary whose
    answers differ is held at once, and rolled back at the deadline if the spec says so."""
    assert version.spec.release is not None
    judgement = rollout.judgement
    assert judgement is not None
    why = headline(judgement)
    late = judgement.window >= judgement.policy.deadline
    if late and version.spec.release.production.canary.on_inconclusive == "rollback":
        return stop(env, rollout, "rolled_back", why, context)
    if rollout.held is not None:
        return env
    if late and version.spec.release.production.canary.on_inconclusive == "promote":
        why_not = blocks_undecided(rollout)
        if why_not is None:
            return _promote_undecided(env, rollout, why, context)
        why = f"{why} `on_inconclusive: promote` does not promote it: {why_not}."
    env = with_rollout(env, rollout, held=why)
    report = report_of(rollout)
    incident = incidents.held(
        env.pipeline,
        env.name,
        rollout.version,
        serving(env, context),
        why,
        [report] if report else [],
        background(env, rollout, context, "held"),
    )
    return notify(env, version, "stuck", rollout.id, incident, context.out)


def _promote_undecided(
    env: EnvironmentState, rollout: Rollout, why: str, context: EnvironmentContext
) -> EnvironmentState:
    """Promote as the spec allows; every notification says that the canary proved nothing."""
    if env.paused is not None:
        return env
    said = f"**Promoted without a decision**, as `on_inconclusive: promote` says. {why}"
    rollout = rollout.model_copy(update={"undecided": said})
    env = env.model_copy(update={"rollout": rollout})
    return promote(env, rollout, context, by=rollout.by, why=said)
