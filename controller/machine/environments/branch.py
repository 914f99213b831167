"""PURE. What is owed to the environments branch."""

from collections.abc import Mapping
from typing import Any

from controller.machine.actions import WriteEnvironment
from controller.machine.environments.alerts import refuse
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    RolloutDecisionBuilder,
    file_of,
)
from controller.machine.environments.file import EnvironmentFile
from controller.machine.pipelines.version import ModelVersion
from validators.report import Report


def write(
    env: EnvironmentState,
    name: str,
    subject: str,
    file: EnvironmentFile,
    out: RolloutDecisionBuilder,
) -> EnvironmentState:
    """Owe a commit to the environments branch; none that would take out the name of what runs
    there, and is not known to this state."""
    if env.stranger and file.model is None:
        return env
    owed = WriteEnvironment(
        write=name, repository=env.repository, subject=subject, file=file, seen=env.acted_on
    )
    out.actions.append(owed)
    return env.model_copy(update={"write": owed})


def renew_write(env: EnvironmentState, out: RolloutDecisionBuilder) -> EnvironmentState:
    """After somebody else's commit was heeded, owe the write on top of it."""
    if env.write is None or env.write.seen == env.acted_on:
        return env
    file = env.write.file.model_copy(update={"pinned": env.pinned is not None})
    owed = env.write.model_copy(update={"seen": env.acted_on, "file": file})
    out.actions.append(owed)
    return env.model_copy(update={"write": owed})


def restore(
    env: EnvironmentState,
    why: str,
    version: ModelVersion | None,
    context: EnvironmentContext,
    *,
    needs_human: bool = False,
) -> EnvironmentState:
    """Refuse a human's commit: say why, and let the file name what runs again."""
    stable = context.observed.versions.get(env.stable.version) if env.stable else None
    file = file_of(env, env.stable, stable, by="headgate", reason=f"refused: {why}", at=context.now)
    subject = f"refuse a change of {env.name}"
    name = f"{env.place}/refuse/{env.acted_on}"
    env = write(env, name, subject, file, context.out)
    return refuse(env, why, version, context, name, needs_human=needs_human)


def say_what_runs(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Owe a commit where the file names neither what runs nor what is on its way.

    So it is after a rollout was withdrawn that the file names already: a person merged it, or
    its commit reached git and nobody heard of it.
    """
    under_way = env.rollout.version if env.rollout else env.stable
    if env.write is not None or env.says in (env.stable, under_way) or not env.rollouts:
        return env
    stable = context.observed.versions.get(env.stable.version) if env.stable else None
    reason = f"{env.says or 'nothing'} was named here, and does not run"
    file = file_of(env, env.stable, stable, by="headgate", reason=reason, at=context.now)
    name = f"{env.place}/restore/{env.acted_on}"
    return write(env, name, f"say what {env.name} runs", file, context.out)


def summary(report: Report | None) -> tuple[Mapping[str, Any], ...]:
    """The evidence as the branch keeps it: one mapping per check."""
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
