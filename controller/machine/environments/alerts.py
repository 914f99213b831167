"""PURE. Who is told what about an environment, once, and when it is over."""

from typing import Any, Literal

from controller.machine import incidents
from controller.machine.actions import Incident, Notify
from controller.machine.environments.environment import Environment, Observed, Out, server_name
from controller.machine.pipelines.version import ModelVersion, Ref
from deployers.protocol import ServerStatus
from specs.model import NotifyEvent

UNREADY = 30.0
"""Seconds after which a stable server that does not answer wakes somebody."""


def tell(
    env: Environment,
    version: ModelVersion | None,
    event: NotifyEvent,
    name: str,
    incident: Incident,
    out: Out,
    *,
    status: Literal["firing", "resolved", "info"] = "firing",
) -> Environment:
    """Owe one notification; one that fires is an alert, which a later promotion resolves."""
    alert = f"{env.place}/{event}/{name}"
    if status == "firing" and alert in env.alerts:
        return env  # they know
    notify = version.spec.notify if version else ()
    to = tuple(n.to for n in notify if event in n.on)
    out.actions.append(
        Notify(
            event=event,
            status=status,
            alert=alert,
            to=to,
            incident=incident,
        )
    )
    return env.model_copy(update={"alerts": (*env.alerts, alert)}) if status == "firing" else env


def refuse(
    env: Environment,
    why: str,
    version: ModelVersion | None,
    observed: Observed,
    out: Out,
    name: str,
) -> Environment:
    """Tell that something is not carried out: whom that version's spec names, or else stable's."""
    if version is None and env.stable is not None:
        version = observed.versions.get(env.stable.version)
    incident = incidents.refused(env.pipeline, env.name, env.stable, why)
    return tell(env, version, "refused", name, incident, out, status="info")


def resolve(
    env: Environment, version: ModelVersion, ref: Ref, was: Ref | None, out: Out
) -> Environment:
    """Every alert of the environment ends with a promotion; `was` is what served before it."""
    for alert in env.alerts:
        event: Any = alert.removeprefix(f"{env.place}/").split("/")[0]
        incident = incidents.promoted(env.pipeline, env.name, ref, was)
        to = tuple(n.to for n in version.spec.notify if event in n.on)
        out.actions.append(
            Notify(event=event, status="resolved", alert=alert, to=to, incident=incident)
        )
    return env.model_copy(update={"alerts": ()})


def over(
    env: Environment, version: ModelVersion | None, name: str, incident: Incident, out: Out
) -> Environment:
    """Resolve what fires under that name, if anything does."""
    events: tuple[NotifyEvent, ...] = ("stuck", "approval_needed")
    for event in events:
        alert = f"{env.place}/{event}/{name}"
        if alert in env.alerts:
            env = tell(env, version, event, name, incident, out, status="resolved")
            rest = tuple(a for a in env.alerts if a != alert)
            env = env.model_copy(update={"alerts": rest})
    return env


def watch_stable(env: Environment, observed: Observed, out: Out, now: float) -> Environment:
    """Wake somebody when what should serve does not, and say when it does again."""
    if env.stable is None:
        return over(env, None, "stable", incidents.ended(env.pipeline, env.name, None), out)
    server = observed.deployed.server(server_name(env.place, env.stable))
    alert = f"{env.place}/stuck/stable"
    version = observed.versions.get(env.stable.version)
    if server is not None and server.ready:
        incident = incidents.recovered(env.pipeline, env.name, env.stable)
        env = over(env, version, "stable", incident, out)
        return env.model_copy(update={"unready_since": None})
    since = now if env.unready_since is None else env.unready_since
    env = env.model_copy(update={"unready_since": since})
    hung = (
        server is not None and server.hung
    )  # that it is restarted is told however soon it is back
    if alert in env.alerts or (not hung and now - since < UNREADY):
        return env
    why = f"The server of {env.stable} {_fares(env, server)}"
    incident = incidents.stuck(env.pipeline, env.name, None, why)
    return tell(env, version, "stuck", "stable", incident, out)


def _fares(env: Environment, server: ServerStatus | None) -> str:
    """What is the matter with it, and what is done: nothing is said to be done that is not."""
    detail = f": {server.detail}" if server and server.detail else "."
    if server is not None and server.alive:
        hangs = "hangs and is being restarted"
        return f"{hangs if server.hung else 'does not answer as ready'}{detail}"
    if env.refused is not None:
        return f"does not run, and cannot be started as things are{detail}"
    return f"does not run, and is being started again{detail}"
