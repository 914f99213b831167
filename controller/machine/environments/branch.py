"""PURE. Commits to the environments branch, and what happens when somebody force-pushes over it."""

from collections.abc import Mapping
from typing import Any

from controller.machine import branch_incidents, incidents
from controller.machine.actions import WriteEnvironment
from controller.machine.environments.alerts import notify, refuse, resolve
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    LostHistory,
    RolloutDecisionBuilder,
    file_of,
    named_version,
)
from controller.machine.environments.file import EnvironmentFile
from controller.machine.pipelines.version import ModelVersion
from validators.report import Report

OVERDUE = 300.0
"""Seconds for which a commit may be missing from the branch before somebody is notified."""


def write(
    env: EnvironmentState,
    name: str,
    subject: str,
    file: EnvironmentFile,
    out: RolloutDecisionBuilder,
) -> EnvironmentState:
    """Enqueue a commit to the environments branch; but none that would remove the name of a
    running version that this state does not know."""
    if env.unknown_server and file.model is None:
        return env
    commit = WriteEnvironment(
        write=name, repository=env.repository, subject=subject, file=file, seen=env.acted_on
    )
    out.actions.append(commit)
    return env.model_copy(update={"write": commit})


def rebase_write(env: EnvironmentState, out: RolloutDecisionBuilder) -> EnvironmentState:
    """Enqueue the pending commit again, on top of a commit that was acted on meanwhile."""
    if env.write is None or env.write.seen == env.acted_on:
        return env
    file = env.write.file.model_copy(update={"pinned": env.pinned is not None})
    commit = env.write.model_copy(update={"seen": env.acted_on, "file": file})
    out.actions.append(commit)
    return env.model_copy(update={"write": commit})


def reject_edit(
    env: EnvironmentState,
    why: str,
    version: ModelVersion | None,
    context: EnvironmentContext,
    *,
    needs_human: bool = False,
) -> EnvironmentState:
    """Refuse a person's commit: say why, and restore the name of what runs to the file."""
    stable = context.version(env.stable)
    file = file_of(env, env.stable, stable, by="headgate", reason=f"refused: {why}", at=context.now)
    subject = f"refuse a change of {env.name}"
    name = f"{env.place}/refuse/{env.acted_on}"
    env = write(env, name, subject, file, context.out)
    return refuse(env, why, version, context, name, needs_human=needs_human)


def correct_file(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Enqueue a commit if the file names neither what runs nor what is being rolled out.

    That happens when a rollout ends which the file already names: a person merged it, or its
    commit reached git and the controller was not told.
    """
    under_way = env.rollout.version if env.rollout else env.stable
    if env.write is not None or env.named_in_file in (env.stable, under_way) or not env.rollouts:
        return env
    stable = context.version(env.stable)
    reason = f"the file named {env.named_in_file or 'nothing'}, which does not run"
    file = file_of(env, env.stable, stable, by="headgate", reason=reason, at=context.now)
    name = f"{env.place}/restore/{env.acted_on}"
    return write(env, name, f"say what {env.name} runs", file, context.out)


def summary(report: Report | None) -> tuple[Mapping[str, Any], ...]:
    """The evidence as it is kept on the branch: one mapping per check."""
    return tuple(
        {
            name: value
            for name, value in (
                ("signal", check.name),
                ("verdict", str(check.verdict)),
                ("value", check.observed),
                ("limit", check.limit),
                ("baseline", check.baseline),
                ("n", check.n),
                ("window", check.window),
            )
            if value is not None
        }
        for check in (report.checks if report else ())
    )


def handle_lost_history(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Keep what runs, and write it to the branch again; a new commit of a person is followed."""
    lost, branch = context.observed.lost_history, context.observed.branch
    if lost is None or lost.was != env.acted_on:
        return env
    what = _what_was_lost(env, lost, branch.author if branch and lost.news else None)
    env = env.model_copy(update={"lost_history": what, "listed": ()})
    stable = context.version(env.stable)
    incident = branch_incidents.overwritten(env.pipeline, env.name, env.stable, what)
    env = notify(env, stable, "stuck", f"lost/{lost.was}", incident, context.out, status="info")
    if lost.news:
        return env
    file = branch.file if branch else None
    at = branch.commit if branch else None
    env = env.model_copy(update={"acted_on": at, "named_in_file": named_version(file)})
    if env.write is not None:
        return rebase_write(env, context.out)
    anew = file_of(env, env.stable, stable, by="headgate", reason=what, at=context.now)
    subject = f"restore what {env.name} runs"
    return write(
        env, f"{env.place}/anew/{lost.was}/{lost.now or 'deleted'}", subject, anew, context.out
    )


def _what_was_lost(env: EnvironmentState, lost: LostHistory, by: str | None) -> str:
    """What was lost, and what Headgate does about it."""
    was = f"it was at {lost.was[:12]} for {env.place}"
    if lost.now is None:
        happened = f"The environments branch was deleted: {was}."
    else:
        happened = (
            f"Somebody force-pushed the environments branch: {was}, and is now at {lost.now[:12]}."
        )
    gone = f" Lost there: {'; '.join(lost.left_out)}." if lost.left_out else ""
    if by is not None:
        return f"{happened}{gone} The newest commit there, by {by}, is followed."
    serves = f"{env.stable} keeps serving" if env.stable else "Nothing serves, as before"
    return f"{happened}{gone} {serves}. The file is restored from the controller's state."


def watch_write(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Alert when a commit has been missing for too long, and resolve that when it is made."""
    stable = context.version(env.stable)
    if env.write is None:
        env = env.model_copy(update={"unwritten_since": None})
        done = incidents.ended(env.pipeline, env.name, env.stable)
        return resolve(env, stable, "write_environment", done, context.out)
    if env.unwritten_since is None:
        return env.model_copy(update={"unwritten_since": context.now})
    if context.now - env.unwritten_since < OVERDUE:
        return env
    why = (
        f"The environments branch has not taken a commit for {OVERDUE / 60:g} minutes: "
        f"{env.write.subject!r}. What serves is not affected; `headgate status` says what fails."
    )
    incident = incidents.stuck(env.pipeline, env.name, env.stable, why)
    return notify(env, stable, "stuck", "write_environment", incident, context.out)
