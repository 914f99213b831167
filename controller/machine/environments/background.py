"""PURE. Who gets the traffic, and what is told of a rollout besides what became of it."""

from controller.machine.actions import Background, Moment
from controller.machine.environments.differing import differs
from controller.machine.environments.environment import (
    EnvironmentState,
    ObservedEnvironment,
    server_name,
)
from controller.machine.environments.rollout import Rollout
from specs.figures import clip, percent
from validators.canary.impact import harm


def serves(env: EnvironmentState, observed: ObservedEnvironment) -> str | None:
    """What answers callers, as the router says: both servers, with their shares, under a canary."""
    rollout, deployed = env.rollout, observed.deployed
    stable = str(env.stable) if env.stable else None
    if stable is None or rollout is None or not deployed.canary_weight:
        return stable
    if deployed.canary != server_name(env.place, rollout.version):
        return stable
    weight = deployed.canary_weight
    shares = percent(1 - weight), percent(weight)
    return f"{stable} for {shares[0]} of the requests, {rollout.version} for {shares[1]}"


def background(
    env: EnvironmentState, rollout: Rollout, observed: ObservedEnvironment, now: float, ended: str
) -> Background:
    """Of a rollout beside what is stable; `ended` is what happens to it now."""
    version = observed.versions.get(rollout.version.version)
    stable = observed.versions.get(env.stable.version) if env.stable else None
    judgement, state = rollout.judgement, rollout.judge
    return Background(
        rollout=rollout.id,
        origin=observed.origins.get(rollout.version.version),
        because=clip(rollout.why, 200),
        since=_since(rollout, now, ended),
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
