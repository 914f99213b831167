"""PURE. What a decision on an environment needs to see of the world.

Observing costs something: a version is a look-up in the store, traffic and a pull request are
requests to others. The observer and the model of the world in the tests both look at exactly what
is named here, so that a need that is forgotten fails a test.
"""

from collections.abc import Sequence
from typing import NamedTuple

from controller.machine.core import InboxMessage
from controller.machine.environments.adopting import is_behind, is_new
from controller.machine.environments.environment import Branch, EnvironmentState
from controller.machine.environments.job import BatchJob
from controller.machine.environments.rollout import Cursor
from controller.machine.messages import BranchMoved, ReleaseRequested, Retry, Rollback
from specs.failures import Ignore


class ProposalNeed(NamedTuple):
    """The pull request of a rollout that awaits approval."""

    pull: int
    now: bool
    """Whether there is a hint that it changed; else it is enough to look now and then."""


class ScheduleNeed(NamedTuple):
    """When the batch schedule of a version last came."""

    version: int
    after: float
    """Only if it came after that, in seconds since the epoch."""


class TrafficNeed(NamedTuple):
    """The router's records."""

    cursor: Cursor | None
    """From where on; None for every record."""


class Needs(NamedTuple):
    """What to look at, beside the branch (see `needs_branch`) and what is deployed."""

    versions: frozenset[int]
    """The numbers of model versions; some may not exist."""
    past: bool
    """Whether to read what the branch knows of former releases."""
    traffic: TrafficNeed | None = None
    proposal: ProposalNeed | None = None
    job: BatchJob | None = None
    """The batch job that is running."""
    schedule: ScheduleNeed | None = None
    origins: frozenset[int] = frozenset()
    """The versions whose commits a notification may name."""


def needs_branch(state: EnvironmentState | None, inbox: Sequence[InboxMessage]) -> bool:
    """Whether to look at the environments branch: not if only time has passed.

    The repository says when the environment's file was committed to. What waits for the branch does
    not wait for that.
    """
    if state is None or inbox or state.unread or state.write is not None:
        return True
    return state.rollout is not None and state.rollout.awaiting_approval


def needs(
    state: EnvironmentState | None, inbox: Sequence[InboxMessage], branch: Branch | None
) -> Needs:
    """What the next decision has to see; `branch` was looked at before, if that was needed."""
    versions = frozenset(_versions(state, inbox, branch))
    past = _needs_past(state, inbox, branch)
    if state is None:
        return Needs(versions, past, origins=frozenset(_released(inbox)))
    return Needs(
        versions,
        past,
        traffic=_traffic(state),
        proposal=_proposal(state, inbox, branch),
        job=state.job if state.job is not None and state.job.open else None,
        schedule=_schedule(state),
        origins=frozenset(_origins(state, inbox)),
    )


def repository_of(state: EnvironmentState | None, inbox: Sequence[InboxMessage]) -> str:
    """The repository with the environment's branch. Raises `Ignore` for an environment that never
    had a release."""
    if state is not None:
        return state.repository
    for each in inbox:
        if isinstance(each.message, (ReleaseRequested, BranchMoved)):
            return each.message.repository
    raise Ignore("nothing was released there yet")


def _versions(
    state: EnvironmentState | None, inbox: Sequence[InboxMessage], branch: Branch | None
) -> set[int]:
    numbers: set[int | None] = set()
    for each in inbox:
        match each.message:
            case ReleaseRequested() | Retry():
                numbers.add(each.message.version)
            case Rollback():
                numbers.add(each.message.to)
    if branch and branch.file and branch.file.model:
        numbers.add(branch.file.model.version)
    if state is not None:
        numbers |= {ref.version for ref in (state.stable, *state.former[:1]) if ref}
        some = (state.rollout, state.stopped, state.warm)
        numbers |= {one.version.version for one in some if one}
    return {number for number in numbers if number is not None}


def _needs_past(
    state: EnvironmentState | None, inbox: Sequence[InboxMessage], branch: Branch | None
) -> bool:
    """Whether the state knows nothing of the environment, or is older than the branch. Where it
    was found to know too little, a person has to ask again."""
    if state is None or is_behind(state, branch):
        return True
    if state.unknown is None:
        return is_new(state)
    return any(isinstance(each.message, (Retry, BranchMoved)) for each in inbox)


def _traffic(state: EnvironmentState) -> TrafficNeed | None:
    """A canary is judged by it, and so is a version that took all traffic at once."""
    rollout = state.rollout
    if rollout is not None and rollout.has_server:
        is_watched = rollout.ready is not None and rollout.kind == "release"
        return TrafficNeed(rollout.cursor) if is_watched else None
    return TrafficNeed(state.warm.cursor) if state.warm is not None else None


def _proposal(
    state: EnvironmentState, inbox: Sequence[InboxMessage], branch: Branch | None
) -> ProposalNeed | None:
    rollout = state.rollout
    proposal = rollout.proposal if rollout is not None and rollout.awaiting_approval else None
    if proposal is None or proposal.pull is None:
        return None
    moved = branch is not None and branch.commit != state.acted_on
    hinted = any(isinstance(each.message, BranchMoved) for each in inbox)
    return ProposalNeed(proposal.pull, now=moved or hinted)


def _schedule(state: EnvironmentState) -> ScheduleNeed | None:
    if state.stable is None or state.job is None:
        return None
    return ScheduleNeed(state.stable.version, after=state.job.asked)


def _origins(state: EnvironmentState, inbox: Sequence[InboxMessage]) -> set[int]:
    """Of the rollout in progress, of one that may begin now, and of a version that a blue-green
    switch may be taken back from."""
    numbers = _released(inbox)
    if state.rollout is not None:
        numbers.add(state.rollout.version.version)
    if state.warm is not None and state.stable is not None:
        numbers.add(state.stable.version)
    if state.stopped is not None and any(isinstance(each.message, Retry) for each in inbox):
        numbers.add(state.stopped.version.version)
    return numbers


def _released(inbox: Sequence[InboxMessage]) -> set[int]:
    messages = [each.message for each in inbox]
    numbers = [one.version for one in messages if isinstance(one, (ReleaseRequested, Retry))]
    return {number for number in numbers if number is not None}
