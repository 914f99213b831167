"""PURE. What each message does to an environment: one handler per class."""

from collections.abc import Callable, Mapping
from typing import Any

from controller.machine import incidents
from controller.machine.actions import (
    Deploy,
    Propose,
    RunSmoke,
    StartAttempt,
    StartBatch,
    WriteEnvironment,
)
from controller.machine.core import Message
from controller.machine.environments import batch, proposal
from controller.machine.environments.adopting import resume_releases
from controller.machine.environments.alerts import (
    notify,
    refuse,
    serving,
)
from controller.machine.environments.ending import (
    give_up,
    promote,
    stop,
    written,
)
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    with_rollout,
)
from controller.machine.environments.starting import release, retry, roll_back, who
from controller.machine.messages import (
    Abort,
    ActionFailed,
    Approve,
    BatchStarted,
    BranchMoved,
    EnvironmentMoved,
    EnvironmentWritten,
    Pause,
    Promote,
    ReleaseProposed,
    ReleaseRequested,
    Resume,
    Retry,
    Rollback,
    SmokeDone,
    Verb,
)

_FAILED = {
    "deploy": "What should run there cannot be deployed",
    "write_environment": "Git does not accept the commit that says what runs there",
}


def _smoke_done(
    env: EnvironmentState, message: SmokeDone, _context: EnvironmentContext
) -> EnvironmentState:
    rollout = env.rollout
    if rollout is None or rollout.id != message.rollout:
        return env
    return with_rollout(env, rollout, smoke=message.report)


def _batch_started(
    env: EnvironmentState, message: BatchStarted, _context: EnvironmentContext
) -> EnvironmentState:
    if env.job is None or env.job.id != message.job:
        return env
    return env.model_copy(update={"job": env.job.model_copy(update={"attempt": message.attempt})})


def _look(
    env: EnvironmentState, _message: Message, _context: EnvironmentContext
) -> EnvironmentState:
    """Nothing more: every decision looks at the branch anyway."""
    return env


def _approve(
    env: EnvironmentState, message: Approve, context: EnvironmentContext
) -> EnvironmentState:
    rollout = env.rollout
    if rollout is None or not rollout.awaiting_approval:
        return env
    why = f"{rollout.why}; {_said('approved', message)}"
    return with_rollout(env, rollout, approved=context.now, by=message.by, why=why)


def _promote(
    env: EnvironmentState, message: Promote, context: EnvironmentContext
) -> EnvironmentState:
    rollout = env.rollout
    if rollout is None:
        return env
    if rollout.ready is not None:
        said = _said("promoted", message)
        return promote(env, rollout, context, by=message.by, why=said)
    # The CLI refuses this; here, the rollout has changed since.
    version = context.version(rollout.version)
    why = f"not promoted, though {message.by} asked for it: {rollout.not_yet()}"
    return refuse(env, why, version, context, f"promote/{rollout.id}")


def _pause(env: EnvironmentState, message: Pause, _context: EnvironmentContext) -> EnvironmentState:
    return env.model_copy(update={"paused": who(message)})


def _resume(
    env: EnvironmentState, _message: Resume, context: EnvironmentContext
) -> EnvironmentState:
    return resume_releases(env, context.out).model_copy(update={"paused": None})


def _abort(env: EnvironmentState, message: Abort, context: EnvironmentContext) -> EnvironmentState:
    if env.rollout is None:
        return env
    return stop(env, env.rollout, "aborted", _said("aborted", message), context)


def _said(done: str, verb: Verb) -> str:
    """What a person did, with the reason they gave."""
    return f"{done} by {who(verb)}"


def _action_failed(
    env: EnvironmentState, message: ActionFailed, context: EnvironmentContext
) -> EnvironmentState:
    """An action that cannot succeed without a person."""
    rollout, reason, action = env.rollout, message.reason, message.action
    match action:
        case StartBatch():
            return batch.cannot_start(env, action.job, reason, context)
        case StartAttempt():
            return batch.cannot_start(env, action.attempt.id, reason, context)
        case Propose() if rollout is not None and rollout.id == action.proposal:
            return proposal.not_opened(env, rollout, reason, context)
        case RunSmoke() if rollout is not None and rollout.id == action.rollout:
            return give_up(env, rollout, reason, context)
        case Deploy() if rollout is not None and rollout.id == action.attempt:
            return give_up(env, rollout, reason, context)
        case Deploy() if action == env.deploy:
            env = env.model_copy(update={"refused": context.now})
            return _tell_of_failure(env, action, reason, context)
        case WriteEnvironment():
            return _tell_of_failure(env, action, reason, context)
        case _:
            return env  # it is outdated, or nothing depends on it


def _tell_of_failure(
    env: EnvironmentState,
    action: Deploy | WriteEnvironment,
    reason: str,
    context: EnvironmentContext,
) -> EnvironmentState:
    version = context.version(env.stable or (env.rollout.version if env.rollout else None))
    why = f"{_FAILED[action.type]}: {reason}"
    incident = incidents.stuck(env.pipeline, env.name, serving(env, context), why)
    return notify(env, version, "stuck", action.type, incident, context.out)


HANDLERS: Mapping[
    type[Message], Callable[[EnvironmentState, Any, EnvironmentContext], EnvironmentState]
] = {
    ReleaseRequested: release,
    SmokeDone: _smoke_done,
    EnvironmentWritten: written,
    EnvironmentMoved: _look,
    BatchStarted: _batch_started,
    ReleaseProposed: proposal.opened,
    BranchMoved: _look,
    ActionFailed: _action_failed,
    Approve: _approve,
    Promote: _promote,
    Rollback: roll_back,
    Retry: retry,
    Abort: _abort,
    Pause: _pause,
    Resume: _resume,
}
"""Every class of message that an environment handles."""
