"""PURE. Somebody pushed over the environments branch, or deleted it: it is told, and what the state
knows is written there anew."""

from controller.machine import branch_incidents, incidents
from controller.machine.environments.alerts import over, tell
from controller.machine.environments.branch import renew_write, write
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    LostHistory,
    file_of,
    named,
)
from specs.figures import duration

LONGEST = 300.0
"""Seconds for which the branch may not say what runs, before somebody is told."""


def heed_loss(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Keep what runs; a person's commit that is news is heeded after this like any other."""
    lost, branch = context.observed.lost, context.observed.branch
    if lost is None or lost.was != env.acted_on:
        return env
    what = _said(env, lost, branch.author if branch and lost.news else None)
    env = env.model_copy(update={"lost": what, "listed": ()})
    stable = context.observed.versions.get(env.stable.version) if env.stable else None
    incident = branch_incidents.overwritten(env.pipeline, env.name, env.stable, what)
    env = tell(env, stable, "stuck", f"lost/{lost.was}", incident, context.out, status="info")
    if lost.news:
        return env
    file = branch.file if branch else None
    at = branch.commit if branch else None
    env = env.model_copy(update={"acted_on": at, "says": named(file)})
    if env.write is not None:
        return renew_write(env, context.out)
    anew = file_of(env, env.stable, stable, by="headgate", reason=what, at=context.now)
    subject = f"write down anew what {env.name} runs"
    return write(
        env, f"{env.place}/anew/{lost.was}/{lost.now or 'deleted'}", subject, anew, context.out
    )


def _said(env: EnvironmentState, lost: LostHistory, by: str | None) -> str:
    """What was lost, and what Headgate does now."""
    was = f"it was at {lost.was[:12]} for {env.place}"
    if lost.now is None:
        happened = f"The environments branch was deleted: {was}."
    else:
        happened = f"The environments branch was pushed over: {was}, and is at {lost.now[:12]}."
    gone = f" Lost there: {'; '.join(lost.left_out)}." if lost.left_out else ""
    if by is not None:
        return f"{happened}{gone} The newest commit there, of {by}, is heeded."
    serves = f"{env.stable} serves on" if env.stable else "Nothing serves, as before"
    return f"{happened}{gone} {serves}, and the file is written anew from the controller's state."


def watch_write(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Wake somebody when the branch does not come to say what runs, and say when it does."""
    stable = context.observed.versions.get(env.stable.version) if env.stable else None
    if env.write is None:
        env = env.model_copy(update={"owed_since": None})
        goes_on = incidents.ended(env.pipeline, env.name, env.stable)
        return over(env, stable, "write_environment", goes_on, context.out)
    if env.owed_since is None:
        return env.model_copy(update={"owed_since": context.now})
    if context.now - env.owed_since < LONGEST:
        return env
    why = (
        f"The environments branch has not taken a commit for {duration(LONGEST)}: "
        f"{env.write.subject!r}. What serves is not touched; `headgate status` says what fails."
    )
    incident = incidents.stuck(env.pipeline, env.name, env.stable, why)
    return tell(env, stable, "stuck", "write_environment", incident, context.out)
