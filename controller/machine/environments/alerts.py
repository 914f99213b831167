"""PURE. Notifications about an environment: each alert fires once and is resolved once.

An alert stays open for as long as what it says is true:

| alert                   | it says                               | it ends                      |
|-------------------------|---------------------------------------|------------------------------|
| rollback/ROLLOUT        | traffic is being moved off a version  | none goes there, and stable  |
|                         |                                       | is ready; or the next serves |
| gate_failed/ROLLOUT     | the newest version did not start, or  | a later release is promoted  |
|                         | failed its smoke requests             |                              |
| stuck/ROLLOUT           | it is held, or cannot be brought up   | it ends, or a later one does |
| approval_needed/ROLLOUT | it awaits approval                    | somebody decides             |
| stuck/deploy            | what should run cannot be deployed    | it runs                      |
| stuck/write_environment | git does not accept the commit        | git has it                   |
| stuck/stable            | stable or the router does not answer  | it does                      |
| refused/...             | a request to leave what serves failed | something else serves        |

Events that need nobody and do not last (a promotion, a refused request or release) are no alerts:
they are sent as `info`. Whoever was told that an alert fires is told when it ends, even if the spec
no longer names them.
"""

from typing import Any, Literal

from controller.machine import incidents
from controller.machine.actions import Background, Incident, Moment
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    RolloutDecisionBuilder,
    server_name,
)
from controller.machine.environments.rollout import Rollout
from controller.machine.environments.version_diff import differs
from controller.machine.error_text import without_traceback
from controller.machine.pipelines.version import ModelVersion, Ref
from deployers.protocol import ServerStatus
from specs.figures import clip, percent
from specs.notifications import NotifyEvent
from validators.canary.impact import harm

UNREADY = 30.0
"""Seconds for which stable may not answer before somebody is woken."""


def notify(
    env: EnvironmentState,
    version: ModelVersion | None,
    event: NotifyEvent,
    name: str,
    incident: Incident,
    out: RolloutDecisionBuilder,
    *,
    status: Literal["firing", "resolved", "info"] = "firing",
) -> EnvironmentState:
    """Notify whom the version's spec names. What fires is an open alert, and is sent only once."""
    alert = f"{env.place}/{event}/{name}"
    incident = incident.model_copy(update={"points": incident.points or env.points})
    if status == "firing" and alert in env.alerts:
        return env  # it was sent before
    notify = version.spec.notify if version else ()
    to = tuple(n.to for n in notify if event in n.on)
    if status == "firing":
        env = env.model_copy(
            update={"alerts": (*env.alerts, alert), "notified": {**env.notified, alert: to}}
        )
    out.notify(event, status, alert, to, incident)
    return env


def refuse(
    env: EnvironmentState,
    why: str,
    version: ModelVersion | None,
    context: EnvironmentContext,
    name: str,
    *,
    needs_human: bool = False,
) -> EnvironmentState:
    """Notify that a request is refused: whom that version's spec names, or else stable's.

    `needs_human`: somebody wanted to leave what serves, and it keeps serving.
    """
    if version is None and env.stable is not None:
        version = context.version(env.stable)
    incident = incidents.refused(
        env.pipeline,
        env.name,
        serving(env, context),
        why,
        needs_human=needs_human,
        points=env.points,
    )
    status: Literal["firing", "info"] = "firing" if needs_human else "info"
    return notify(env, version, "refused", name, incident, context.out, status=status)


def resolve_by_release(
    env: EnvironmentState, rollout: Rollout, was: Ref | None, context: EnvironmentContext
) -> EnvironmentState:
    """Resolve the alerts that end once a rollout's version serves; `was` served before.

    A release ends every alert. Going back to a former version does not: what failed to start is
    still not released, and the commit that names the former version is yet to be made.
    """
    place = (env.pipeline, env.name, rollout.version, was)
    incident = incidents.promoted(*place, points=env.points)
    for alert in env.alerts:
        event, _, name = alert.removeprefix(f"{env.place}/").partition("/")
        lasts = event == "gate_failed" or name in ("write_environment", "deploy", "stable")
        if rollout.kind == "release" or not lasts:
            env = _end(env, alert, context.version(rollout.version), incident, context.out)
    return env


def resolve_rollbacks(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Resolve the rollbacks once stable is ready. Only called when what runs is what should."""
    stable = env.stable
    if stable is None:
        return env
    server = context.observed.deployed.server(server_name(env.place, stable))
    if not env.points and (server is None or not server.ready):
        return env
    now = serving(env, context)
    for alert in env.alerts:
        if alert.startswith(f"{env.place}/rollback/"):
            known = env.stopped is not None and alert.endswith(f"/{env.stopped.id}")
            bad = env.stopped.version if env.stopped and known else None
            incident = incidents.restored(env.pipeline, env.name, now, bad, points=env.points)
            env = _end(env, alert, context.version(stable), incident, context.out)
    return env


def resolve(
    env: EnvironmentState,
    version: ModelVersion | None,
    name: str,
    incident: Incident,
    out: RolloutDecisionBuilder,
) -> EnvironmentState:
    """Resolve the `stuck` and `approval_needed` alerts of that name, if they are open."""
    for event in ("stuck", "approval_needed"):
        alert = f"{env.place}/{event}/{name}"
        if alert in env.alerts:
            env = _end(env, alert, version, incident, out)
    return env


def _end(
    env: EnvironmentState,
    alert: str,
    version: ModelVersion | None,
    incident: Incident,
    out: RolloutDecisionBuilder,
) -> EnvironmentState:
    """Notify whoever was notified when it fired; in an older state, whom `version` names."""
    event: Any = alert.removeprefix(f"{env.place}/").split("/")[0]
    notify = version.spec.notify if version else ()
    to = env.notified.get(alert, tuple(n.to for n in notify if event in n.on))
    out.notify(event, "resolved", alert, to, incident)
    return env.model_copy(
        update={
            "alerts": tuple(one for one in env.alerts if one != alert),
            "notified": {name: whom for name, whom in env.notified.items() if name != alert},
        }
    )


def watch_stable(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Alert when stable or the router does not answer, and resolve that when both do."""
    stable = env.stable
    if stable is None or env.points:
        return resolve(
            env, None, "stable", incidents.ended(env.pipeline, env.name, None), context.out
        )
    deployed = context.observed.deployed
    server = deployed.server(server_name(env.place, stable))
    alert = f"{env.place}/stuck/stable"
    version = context.version(stable)
    ready = server is not None and server.ready
    if ready and deployed.address is not None:
        incident = incidents.recovered(env.pipeline, env.name, stable)
        env = resolve(env, version, "stable", incident, context.out)
        return env.model_copy(update={"unready_since": None})
    since = context.now if env.unready_since is None else env.unready_since
    env = env.model_copy(update={"unready_since": since})
    # A restart is reported even if it takes no time.
    hung = deployed.hung_router != "" or (server is not None and server.hung)
    if alert in env.alerts or (not hung and context.now - since < UNREADY):
        return env
    at = serving(env, context)
    if ready or deployed.hung_router:
        silent = deployed.hung_router
        does = f"does not answer{f' and is being started again: {silent}' if silent else '.'}"
        why = f"The router of {env.name} {does}"
        incident = incidents.unreachable(env.pipeline, env.name, at, why)
        return notify(env, version, "stuck", "stable", incident, context.out)
    why = f"The server of {stable} {_condition(env, server)}"
    former = env.former[0] if env.former else None
    incident = incidents.not_answering(env.pipeline, env.name, stable, at, former, why)
    return notify(env, version, "stuck", "stable", incident, context.out)


def _condition(env: EnvironmentState, server: ServerStatus | None) -> str:
    """What is wrong with a server that is not ready, and what is being done about it."""
    detail = f": {without_traceback(server.detail)}" if server and server.detail else "."
    if server is not None and server.alive:
        hangs = "hangs and is being restarted"
        return f"{hangs if server.hung else 'is not ready'}{detail}"
    if env.refused is not None:
        return f"is not running and cannot be started{detail}"
    return f"is not running and is being started again{detail}"


def serving(env: EnvironmentState, context: EnvironmentContext) -> str | None:
    """What answers callers: during a canary both versions, with their shares of the requests."""
    rollout, deployed = env.rollout, context.observed.deployed
    stable = str(env.stable) if env.stable else None
    if stable is None or rollout is None or not deployed.canary_weight:
        return stable
    if deployed.canary != server_name(env.place, rollout.version):
        return stable
    weight = deployed.canary_weight
    shares = percent(1 - weight), percent(weight)
    return f"{stable} for {shares[0]} of the requests, {rollout.version} for {shares[1]}"


def background(
    env: EnvironmentState, rollout: Rollout, context: EnvironmentContext, ended: str
) -> Background:
    """What on-call would look up next about a rollout; `ended` is what happens to it now."""
    version, stable = context.version(rollout.version), context.version(env.stable)
    judgement, state = rollout.judgement, rollout.judge
    return Background(
        rollout=rollout.id,
        origin=context.observed.origins.get(rollout.version.version),
        because=clip(rollout.why, 200),
        since=_since(rollout, context.now, ended),
        hurt=harm(judgement, state) if judgement and state else "",
        beside=str(env.stable) if env.stable else "",
        differs=differs(stable, version) if stable and version else (),
    )


def _since(rollout: Rollout, now: float, ended: str) -> tuple[Moment, ...]:
    began = rollout.judge.began if rollout.judge else None
    judged = rollout.judgement.evidence if rollout.judgement else ()
    guilty = [each.signal for each in judged if each.guilty]
    errs = not guilty or any(signal.startswith("errors") for signal in guilty)
    moments = (
        ("its server was started", rollout.deployed if began is None else None),
        ("canary began", began),
        ("first failed request", rollout.first_failed if errs else None),
        ("evidence against it since", rollout.doubted if ended == "rolled back" else None),
        ("the router took its traffic away", rollout.unwatched),
        (ended, now),
    )
    known = [Moment(what=what, at=at) for what, at in moments if at is not None]
    return tuple(sorted(known, key=lambda one: one.at))
