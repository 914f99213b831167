"""PURE. Who is told what about an environment, once, and when it is over.

An alert is open for as long as what it says is so:

| alert                   | it says                               | it ends                      |
|-------------------------|---------------------------------------|------------------------------|
| rollback/ROLLOUT        | callers are being taken off a version | none goes there, and stable  |
|                         |                                       | answers; or the next serves  |
| gate_failed/ROLLOUT     | the newest did not start, or failed   | a later release is promoted  |
|                         | its smoke requests: it is not out     |                              |
| stuck/ROLLOUT           | it is held, or cannot be brought up   | it ends, or a later one does |
| approval_needed/ROLLOUT | it waits for a person                 | somebody decides             |
| stuck/deploy            | what should run cannot be deployed    | it runs                      |
| stuck/write_environment | git does not take the commit          | git has it                   |
| stuck/stable            | stable or the router does not answer  | it does                      |
| refused/...             | somebody wanted away from what serves | something else serves        |

What needs nobody and does not last (a promotion, a wish or release that is refused) is no alert.
Whoever was told of the beginning hears of the end, whom the specs name then or not.
"""

from typing import Any, Literal

from controller.machine import incidents
from controller.machine.actions import Incident
from controller.machine.environments.background import serves
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    RolloutDecisionBuilder,
    server_name,
)
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.machine.words import fit
from deployers.protocol import ServerStatus
from specs.notifications import NotifyEvent

UNREADY = 30.0
"""Seconds after which a stable server that does not answer wakes somebody."""


def tell(
    env: EnvironmentState,
    version: ModelVersion | None,
    event: NotifyEvent,
    name: str,
    incident: Incident,
    out: RolloutDecisionBuilder,
    *,
    status: Literal["firing", "resolved", "info"] = "firing",
) -> EnvironmentState:
    """Owe one notification; one that fires is an alert, open until it is resolved."""
    alert = f"{env.place}/{event}/{name}"
    incident = incident.model_copy(update={"points": incident.points or env.points})
    if status == "firing" and alert in env.alerts:
        return env  # they know
    notify = version.spec.notify if version else ()
    to = tuple(n.to for n in notify if event in n.on)
    if status == "firing":
        env = env.model_copy(
            update={"alerts": (*env.alerts, alert), "told": {**env.told, alert: to}}
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
    """Tell that something is not carried out: whom that version's spec names, or else stable's.

    `needs_human`: somebody wanted away from what serves, and it serves on.
    """
    if version is None and env.stable is not None:
        version = context.observed.versions.get(env.stable.version)
    incident = incidents.refused(
        env.pipeline,
        env.name,
        serves(env, context.observed),
        why,
        needs_human=needs_human,
        points=env.points,
    )
    status: Literal["firing", "info"] = "firing" if needs_human else "info"
    return tell(env, version, "refused", name, incident, context.out, status=status)


def resolve(
    env: EnvironmentState,
    version: ModelVersion,
    ref: Ref,
    was: Ref | None,
    out: RolloutDecisionBuilder,
    *,
    released: bool,
) -> EnvironmentState:
    """What another version ends by serving all traffic; `was` is what served before it.

    A release ends every alert. What a person brought back does not bring out what failed to start,
    and its commit is yet to come.
    """
    incident = incidents.promoted(env.pipeline, env.name, ref, was, points=env.points)
    for alert in env.alerts:
        event, _, name = alert.removeprefix(f"{env.place}/").partition("/")
        lasts = event == "gate_failed" or name in ("write_environment", "deploy", "stable")
        if released or not lasts:
            env = _end(env, alert, version, incident, out)
    return env


def rollback_done(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Rollbacks are over once what runs is what should, and the stable server answers as ready.

    To be asked where the first is so.
    """
    stable = env.stable
    if stable is None:
        return env
    server = context.observed.deployed.server(server_name(env.place, stable))
    if not env.points and (server is None or not server.ready):
        return env
    now = serves(env, context.observed)
    for alert in env.alerts:
        if alert.startswith(f"{env.place}/rollback/"):
            known = env.stopped is not None and alert.endswith(f"/{env.stopped.id}")
            bad = env.stopped.version if env.stopped and known else None
            incident = incidents.restored(env.pipeline, env.name, now, bad, points=env.points)
            env = _end(
                env, alert, context.observed.versions.get(stable.version), incident, context.out
            )
    return env


def over(
    env: EnvironmentState,
    version: ModelVersion | None,
    name: str,
    incident: Incident,
    out: RolloutDecisionBuilder,
) -> EnvironmentState:
    """Resolve what fires under that name, if anything does."""
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
    """Tell those who were told that it fires; of an older state, those whom `version` names."""
    event: Any = alert.removeprefix(f"{env.place}/").split("/")[0]
    notify = version.spec.notify if version else ()
    to = env.told.get(alert, tuple(n.to for n in notify if event in n.on))
    out.notify(event, "resolved", alert, to, incident)
    return env.model_copy(
        update={
            "alerts": tuple(one for one in env.alerts if one != alert),
            "told": {name: whom for name, whom in env.told.items() if name != alert},
        }
    )


def watch_stable(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Wake somebody when what should serve does not, and say when it does again."""
    stable = env.stable
    if stable is None or env.points:
        return over(env, None, "stable", incidents.ended(env.pipeline, env.name, None), context.out)
    deployed = context.observed.deployed
    server = deployed.server(server_name(env.place, stable))
    alert = f"{env.place}/stuck/stable"
    version = context.observed.versions.get(stable.version)
    ready = server is not None and server.ready
    if ready and deployed.address is not None:
        incident = incidents.recovered(env.pipeline, env.name, stable)
        env = over(env, version, "stable", incident, context.out)
        return env.model_copy(update={"unready_since": None})
    since = context.now if env.unready_since is None else env.unready_since
    env = env.model_copy(update={"unready_since": since})
    # That something is restarted is told however soon it is back.
    hung = deployed.hung_router != "" or (server is not None and server.hung)
    if alert in env.alerts or (not hung and context.now - since < UNREADY):
        return env
    at = serves(env, context.observed)
    if ready or deployed.hung_router:
        silent = deployed.hung_router
        does = f"answers nobody{f' and is being started again: {silent}' if silent else '.'}"
        why = f"The router of {env.name} {does}"
        incident = incidents.unreachable(env.pipeline, env.name, at, why)
        return tell(env, version, "stuck", "stable", incident, context.out)
    why = f"The server of {stable} {_fares(env, server)}"
    former = env.former[0] if env.former else None
    incident = incidents.not_answering(env.pipeline, env.name, stable, at, former, why)
    return tell(env, version, "stuck", "stable", incident, context.out)


def _fares(env: EnvironmentState, server: ServerStatus | None) -> str:
    """What is the matter with it, and what is done: nothing is said to be done that is not."""
    detail = f": {fit(server.detail)}" if server and server.detail else "."
    if server is not None and server.alive:
        hangs = "hangs and is being restarted"
        return f"{hangs if server.hung else 'does not answer as ready'}{detail}"
    if env.refused is not None:
        return f"does not run, and cannot be started as things are{detail}"
    return f"does not run, and is being started again{detail}"
