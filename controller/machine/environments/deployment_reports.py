"""PURE. What is shown in the code's repository: a deployment per rollout, and on the commit that a
model was made from, whether production could keep it.

The repository shows environments by name. A pipeline at the repository's root has `staging` and
`production`; one in a folder has `production (flight-delay)`, as there may be others beside it.
"""

from collections.abc import Mapping

from controller.machine.actions import DeploymentState, ReportDeployment, ReportRelease
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    RolloutDecisionBuilder,
)
from controller.machine.environments.rollout import EndedRollout, Rollout, weights
from controller.machine.pipelines.version import ModelVersion
from specs.figures import percent
from specs.model import SPEC_FILE

Reported = ReportDeployment | ReportRelease

_ENDS: Mapping[str, DeploymentState] = {
    "promoted": "success",
    "rolled_back": "failure",
    "failed": "failure",
}
"""The other outcomes (superseded, aborted) say nothing about the version."""


def report(
    before: EnvironmentState, env: EnvironmentState, context: EnvironmentContext
) -> set[str]:
    """Report what the decision changed for people who look at the repository.

    Returns the lanes whose older reports are outdated now.
    """
    known = context.observed.versions
    due: list[Reported | None] = [
        *(_ended(env, ended, known) for ended in context.out.ended),
        _replaced(before, env, known),
    ]
    now = _in_progress(env, known)
    if now != _in_progress(before, known):
        due.append(now)
    if env.name == "production":
        due += _verdicts(before, env, context.out, known)
    reports = [each for each in due if each is not None]
    context.out.actions += reports
    return {each.lane for each in reports}


def _in_progress(
    env: EnvironmentState, known: Mapping[int, ModelVersion]
) -> ReportDeployment | None:
    """How the rollout in progress is shown."""
    rollout = env.rollout
    version = known.get(rollout.version.version) if rollout else None
    if rollout is None or version is None:
        return None
    if rollout.approval and rollout.approved is None:
        return _deployment(env, rollout.id, version, "queued", "awaits approval")
    text = _progress(rollout, version)
    if rollout.held is not None:
        text += f", awaits a decision: {rollout.held}"
    elif env.paused is not None:
        text += f", paused by {env.paused}"
    elif rollout.forecast is not None and rollout.decided is None:
        text += f". {rollout.forecast}"
    return _deployment(env, rollout.id, version, "in_progress", text)


def _progress(rollout: Rollout, version: ModelVersion) -> str:
    if rollout.step < 0:
        return "is being tested" if rollout.points else "is starting"
    return f"canary at {percent(weights(version)[rollout.step])}"


def _ended(
    env: EnvironmentState, ended: EndedRollout, known: Mapping[int, ModelVersion]
) -> ReportDeployment | None:
    rollout = ended.rollout
    version = known.get(rollout.version.version)
    if version is None:
        return None
    state = _ENDS.get(ended.outcome, "inactive")
    does = f"{env.name} points to it" if rollout.points else "serves all traffic"
    text = does if state == "success" else ended.reason
    if state == "success" and rollout.undecided is not None:
        text = f"serves all traffic, promoted without a decision: {ended.reason}"
    return _deployment(env, rollout.id, version, state, text)


def _replaced(
    before: EnvironmentState, env: EnvironmentState, known: Mapping[int, ModelVersion]
) -> ReportDeployment | None:
    """How the version that was replaced is shown."""
    was, brought = before.stable, before.stable_rollout
    if was is None or brought is None or (env.stable is not None and env.stable_rollout == brought):
        return None
    version = known.get(was.version)
    text = f"replaced by v{env.stable.version}" if env.stable else "nothing serves any more"
    return _deployment(env, brought, version, "inactive", text) if version else None


def _verdicts(
    before: EnvironmentState,
    env: EnvironmentState,
    out: RolloutDecisionBuilder,
    known: Mapping[int, ModelVersion],
) -> list[ReportRelease]:
    """A quarantine fails the commit that the version was made from; a promotion clears it."""
    bad = [q for q in env.quarantine if not before.quarantined(q.digest)]
    good = [e.rollout.version for e in out.ended if e.outcome == "promoted"]
    said: list[tuple[int, bool, str]] = [
        *((q.version, False, f"v{q.version} is quarantined: {q.reason}") for q in bad),
        *((ref.version, True, f"v{ref.version} was promoted") for ref in good),
    ]
    return [
        ReportRelease(
            repository=env.repository,
            commit=known[number].source.commit,
            pipeline=env.pipeline,
            environment=env.name,
            healthy=healthy,
            text=text,
        )
        for number, healthy, text in said
        if number in known
    ]


def _deployment(
    env: EnvironmentState, rollout: str, version: ModelVersion, state: DeploymentState, text: str
) -> ReportDeployment:
    alone = version.source.path == SPEC_FILE
    shown = env.name if alone else f"{env.name} ({env.pipeline})"
    return ReportDeployment(
        repository=env.repository,
        commit=version.source.commit,
        pipeline=env.pipeline,
        environment=env.name,
        shown=shown,
        mark=rollout,
        version=version.number,
        state=state,
        text=text,
    )
