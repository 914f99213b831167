"""PURE. How what an environment runs comes to change: the whole way, one decision at a time."""

from collections.abc import Sequence

from controller.machine import canary_incidents, incidents
from controller.machine.actions import RunSmoke, WriteEnvironment
from controller.machine.core import Decision, Envelope, InboxMessage, Key
from controller.machine.environments import batch, deployments, proposal, switching
from controller.machine.environments.adopting import adopt
from controller.machine.environments.alerts import (
    over,
    rollback_done,
    tell,
    watch_stable,
)
from controller.machine.environments.background import background, serves
from controller.machine.environments.branch import renew_write, say_what_runs
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
    moved,
    server_name,
)
from controller.machine.environments.handling import HANDLERS
from controller.machine.environments.losing import heed_loss, watch_write
from controller.machine.environments.needs import repository_of
from controller.machine.environments.rollout import (
    Cursor,
    Rollout,
    begin_canary,
    grow,
    is_judged,
    lengthened,
    may_promote,
    unseen,
    watch,
)
from controller.machine.environments.wish import heed_branch
from controller.machine.messages import EnvironmentWritten
from controller.machine.pipelines.version import ModelVersion
from controller.machine.words import fit
from deployers.protocol import Silence
from validators.canary import CanaryDecision
from validators.canary.evidence import headline

AT_ONCE, IDLE, STARTING, CANARY, WAITING = 0.0, 10.0, 0.2, 0.5, 5.0
"""Seconds between looks: at rest, while a server starts, under a canary, while others act."""
WATCHED = 1.0
"""The same after a switch."""
UNREADY = 2.0
"""The same while what should serve does not: it may have to be started again."""
SMOKE_DEADLINE = 600.0
REFUSED = 60.0
"""Seconds until a deployment that failed for good is asked for again."""


def decide(
    state: EnvironmentState | None,
    observed: ObservedEnvironment,
    inbox: Sequence[InboxMessage],
    now: float,
) -> Decision[EnvironmentState]:
    """Handle messages, then what people wrote on the branch, then move the rollout; converge."""
    env = before = state or _begin(inbox)
    out = RolloutDecisionBuilder(observed.everyone)
    context = EnvironmentContext(observed, out, now)
    env = adopted = adopt(env, context)
    # What was written is a fact; nobody's word can come before it.
    for each in sorted(inbox, key=lambda x: not isinstance(x.message, EnvironmentWritten)):
        env = HANDLERS[type(each.message)](env, each.message, context)
    stale = env.acted_on != adopted.acted_on  # else the branch was looked at too early
    if not stale:
        env = heed_loss(env, context)
        env = heed_branch(env, context)
        env = proposal.follow(env, context)
    env = batch.heed_end(env, context)
    if env.rollout is not None:
        env = _advance(env, env.rollout, context)
    env = switching.look(env, context)
    env = batch.look(env, context)
    env = say_what_runs(env, context)
    env = _take_up(env, out)
    env = watch_stable(env, context)
    env = watch_write(env, context)
    newer = {action.lane for action in out.actions if isinstance(action, WriteEnvironment)}
    newer |= deployments.report(before, env, context)
    newer |= proposal.withdraw(before, env, out)
    if before.write is not None and env.write is None:
        newer.add(before.write.lane)
    if before.rollout is not None and (env.rollout is None or env.rollout.id != before.rollout.id):
        newer.add(RunSmoke.lane)
    owed = converge(env, observed)
    if not owed:
        env = _has_converged(env, context)
    for deploy in owed:
        if deploy != env.deploy:  # owed again without a change, it keeps its backoff
            newer.add(deploy.lane)
            env = env.model_copy(update={"deploy": deploy, "refused": None})
        if env.refused is None or now - env.refused >= REFUSED:
            out.actions.append(deploy)
    return Decision(
        state=env,
        actions=tuple(out.actions),
        messages=tuple(out.messages),
        facts=tuple(out.facts),
        withdraw=tuple(sorted(newer)),
        requeue_after=AT_ONCE if stale else _cadence(env, now),
    )


def _begin(inbox: Sequence[InboxMessage]) -> EnvironmentState:
    repository = repository_of(None, inbox)
    pipeline, name = inbox[0].to.name.rsplit("/", 1)
    return EnvironmentState(pipeline=pipeline, name=name, repository=repository)


def _take_up(env: EnvironmentState, out: RolloutDecisionBuilder) -> EnvironmentState:
    """Send the release that was deferred again: its message has its version looked up."""
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


def _has_converged(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    stable = context.observed.versions.get(env.stable.version) if env.stable else None
    goes_on = incidents.ended(env.pipeline, env.name, serves(env, context.observed))
    env = over(env, stable, "deploy", goes_on, context.out)
    env = rollback_done(env, context)
    return env.model_copy(update={"refused": None})


def _cadence(env: EnvironmentState, now: float) -> float:
    rollout = env.rollout
    if env.job is not None and env.job.open:
        return WAITING  # its end wakes it
    if rollout is None:
        rests = WATCHED if env.warm is not None else IDLE
        return rests if env.unready_since is None else UNREADY
    if rollout.ready == now:
        return AT_ONCE  # the next phase asks for an observation of its own
    if rollout.deployed is not None and rollout.ready is None:
        return STARTING
    return CANARY if rollout.step >= 0 else WAITING


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
            rollout = switching.note_before(env, rollout, version, context.observed)
            env = env.model_copy(update={"rollout": rollout})
            return _promoting(env, rollout, context)


def _promoting(
    env: EnvironmentState, rollout: Rollout, context: EnvironmentContext
) -> EnvironmentState:
    """Decide, unless it is paused; while git does not take the commit, go on judging."""
    if rollout.decided is None and rollout.kind == "release" and env.paused is not None:
        return env
    if is_judged(rollout):
        rollout = _judged(rollout, context.observed, context.now)
        env = env.model_copy(update={"rollout": rollout})
        judgement = rollout.judgement
        if judgement is not None and judgement.decision is CanaryDecision.ROLLBACK:
            why = headline(judgement, rollout.judge)
            return stop(env, rollout, "rolled_back", why, context)
    if rollout.decided is None or env.write is None:
        return promote(env, rollout, context, by=rollout.by, why=rollout.why)
    return renew_write(env, context.out)


def _judged(rollout: Rollout, observed: ObservedEnvironment, now: float) -> Rollout:
    """The rollout after the judge took in what the router wrote down since the last look."""
    traffic = observed.traffic
    if traffic is None:
        return watch(rollout, (), now)
    cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
    rollout = rollout.model_copy(update={"cursor": cursor})
    return watch(rollout, traffic.exchanges, now, traffic.waiting)


def _start(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    if rollout.deployed is None:  # it was approved just now
        return moved(env, rollout, deployed=context.now)
    assert version.spec.release is not None
    if version.spec.release.serve is None:  # there is nothing to wait for
        return moved(env, rollout, ready=context.now)
    server = context.observed.deployed.server(server_name(env.place, rollout.version))
    if server is not None and server.ready:
        return moved(env, rollout, ready=context.now)
    deadline = version.spec.release.serve.startup_deadline.total_seconds()
    if context.now - rollout.deployed <= deadline:
        return env
    detail = fit(server.detail) if server else "it was never started"
    why = f"The server of v{version.number} was not ready within {deadline:g} s: {detail}"
    return stop(env, rollout, "failed", why, context)


def _smoke(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    if rollout.points:
        return batch.try_out(env, rollout, context)
    server = context.observed.deployed.server(server_name(env.place, version.ref))
    if rollout.smoke_asked is not None:
        if context.now - rollout.smoke_asked > SMOKE_DEADLINE:
            why = "The smoke requests did not end."
            return stop(env, rollout, "failed", why, context)
        return env
    if server is None or server.address is None:
        return moved(env, rollout, ready=None)  # it went away: start it again
    context.out.actions.append(
        RunSmoke(
            pipeline=env.pipeline,
            environment=env.name,
            rollout=rollout.id,
            version=version.number,
            address=server.address,
        )
    )
    return moved(env, rollout, smoke_asked=context.now)


def _canary(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    """Let the judge look, and do as it says; without a word from it, grow or wait."""
    if not is_judged(rollout):
        traffic = context.observed.traffic
        history = traffic.exchanges if traffic is not None else ()
        if traffic is not None:
            cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
            rollout = rollout.model_copy(update={"cursor": cursor})
        began = begin_canary(rollout, version, history, context.now)
        env = env.model_copy(update={"rollout": began})
        return _tell_of_forecast(env, began, began.forecast, context)
    silence, told = context.observed.deployed.silence, rollout.unwatched
    if silence is not None and silence.since != told:
        rollout = lengthened(rollout, max(0.0, context.now - silence.since))
    rollout = _judged(rollout, context.observed, context.now)
    env = env.model_copy(update={"rollout": rollout})
    if silence is not None:  # without traffic it does not bake
        env = moved(env, rollout, step_since=context.now, unwatched=silence.since)
        rollout = env.rollout or rollout
    judgement = rollout.judgement
    assert judgement is not None
    if judgement.decision is CanaryDecision.ROLLBACK:
        why = headline(judgement, rollout.judge)
        return stop(env, rollout, "rolled_back", why, context)
    if silence is not None:  # nothing else is decided before it has its share again
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
    """On the day it begins, and not at its deadline."""
    if forecast is None:
        return env
    incident = canary_incidents.undecidable(
        env.pipeline,
        env.name,
        rollout.version,
        serves(env, context.observed),
        forecast,
        background(env, rollout, context.observed, context.now, "warned"),
    )
    version = context.observed.versions.get(rollout.version.version)
    return tell(
        env, version, "stuck", f"forecast/{rollout.id}", incident, context.out, status="info"
    )


def _tell_of_silence(
    env: EnvironmentState, rollout: Rollout, silence: Silence, context: EnvironmentContext
) -> EnvironmentState:
    """Once of each silence. One that ends in a rollback is told with that."""
    incident = canary_incidents.unwatched(
        env.pipeline,
        env.name,
        rollout.version,
        serves(env, context.observed),
        silence.limit,
        background(env, rollout, context.observed, context.now, "the controller is back"),
    )
    version = context.observed.versions.get(rollout.version.version)
    name = f"unwatched/{rollout.id}/{silence.since:.0f}"
    return tell(env, version, "stuck", name, incident, context.out, status="info")


def _undecided(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    """The deadline came before a decision: hold, or roll back, as the spec says. A canary whose
    answers differ is held at once, and is rolled back at the deadline if that is what it says."""
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
        why_not = unseen(rollout)
        if why_not is None:
            return _promote_undecided(env, rollout, why, context)
        why = f"{why} `on_inconclusive: promote` does not promote it: {why_not}."
    env = moved(env, rollout, held=why)
    report = report_of(rollout)
    incident = incidents.held(
        env.pipeline,
        env.name,
        rollout.version,
        serves(env, context.observed),
        why,
        [report] if report else [],
        background(env, rollout, context.observed, context.now, "held"),
    )
    return tell(env, version, "stuck", rollout.id, incident, context.out)


def _promote_undecided(
    env: EnvironmentState, rollout: Rollout, why: str, context: EnvironmentContext
) -> EnvironmentState:
    """As the spec accepts; everybody who hears of it hears that nothing was shown."""
    if env.paused is not None:
        return env
    said = f"**Promoted without a decision**, as `on_inconclusive: promote` says. {why}"
    rollout = rollout.model_copy(update={"undecided": said})
    env = env.model_copy(update={"rollout": rollout})
    return promote(env, rollout, context, by=rollout.by, why=said)
