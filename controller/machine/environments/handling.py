"""PURE. What each message does to an environment: one handler per class."""

from collections.abc import Callable, Mapping
from typing import Any

from controller.machine import incidents
from controller.machine.actions import Deploy, Propose, RunSmoke, StartBatch, WriteEnvironment
from controller.machine.core import Message
from controller.machine.environments import batch, proposal
from controller.machine.environments.adopting import go_on
from controller.machine.environments.alerts import (
    refuse,
    tell,
)
from controller.machine.environments.background import serves
from controller.machine.environments.ending import (
    give_up,
    promote,
    stop,
    written,
)
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    moved,
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
    "write_environment": "Git does not take the commit that says what runs there",
}


def _smoke_done(
    env: EnvironmentState, message: SmokeDone, _context: EnvironmentContext
) -> EnvironmentState:
    rollout = env.rollout
    if rollout is None or rollout.id != message.rollout:
        return env
    return moved(env, rollout, smoke=message.report)


def _batch_started(
    env: EnvironmentState, message: BatchStarted, _context: EnvironmentContext
) -> EnvironmentState:
    if env.job is None or env.job.id != message.job:
        return env
    return env.model_copy(update={"job": env.job.model_copy(update={"attempt": message.attempt})})


def _look(
    env: EnvironmentState, _message: Message, _context: EnvironmentContext
) -> EnvironmentState:
    """The branch is looked at in any case; a write is renewed after that."""
    return env


def _approve(
    env: EnvironmentState, message: Approve, context: EnvironmentContext
) -> EnvironmentState:
    rollout = env.rollout
    if rollout is None or not rollout.awaiting_approval:
        return env
    why = f"{rollout.why}; {_said('approved', message)}"
    return moved(env, rollout, approved=context.now, by=message.by, why=why)


def _promote(
    env: EnvironmentState, message: Promote, context: EnvironmentContext
) -> EnvironmentState:
    rollout = env.rollout
    if rollout is None:
        return env
    if rollout.ready is not None:
        said = _said("promoted", message)
        return promote(env, rollout, context, by=message.by, why=said)
    # The CLI said so, unless it came between.
    version = context.observed.versions.get(rollout.version.version)
    why = f"not promoted, though {message.by} asked for it: {rollout.not_yet()}"
    return refuse(env, why, version, context, f"promote/{rollout.id}")


def _pause(env: EnvironmentState, message: Pause, _context: EnvironmentContext) -> EnvironmentState:
    return env.model_copy(update={"paused": who(message)})


def _resume(
    env: EnvironmentState, _message: Resume, context: EnvironmentContext
) -> EnvironmentState:
    return go_on(env, context.out).model_copy(update={"paused": None})


def _abort(env: EnvironmentState, message: Abort, context: EnvironmentContext) -> EnvironmentState:
    if env.rollout is None:
        return env
    return stop(env, env.rollout, "aborted", _said("aborted", message), context)


def _said(done: str, verb: Verb) -> str:
    """What a person did, with the reason that was given."""
    return f"{done} by {who(verb)}"


def _action_failed(
    env: EnvironmentState, message: ActionFailed, context: EnvironmentContext
) -> EnvironmentState:
    """An effect that will not succeed by itself."""
    rollout, reason, action = env.rollout, message.reason, message.action
    match action:
        case StartBatch():
            return batch.cannot_start(env, action.job, reason, context)
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
            return env  # it is not wanted any more, or nobody depends on it


def _tell_of_failure(
    env: EnvironmentState,
    action: Deploy | WriteEnvironment,
    reason: str,
    context: EnvironmentContext,
) -> EnvironmentState:
    rollout, observed = env.rollout, context.observed
    number = env.stable or (rollout.version if rollout else None)
    version = observed.versions.get(number.version) if number else None
    why = f"{_FAILED[action.type]}: {reason}"
    incident = incidents.stuck(env.pipeline, env.name, serves(env, observed), why)
    return tell(env, version, "stuck", action.type, incident, context.out)


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
"""Every class of messages that an environment handles."""
