"""PURE. A rollout that awaits approval: by a pull request, where the repository has them.

Merging the pull request approves the rollout. Whether it was merged is read from the environments
branch, where its commit counts like any other by a person. Closing it declines. If the rollout is
approved or ends otherwise, the pull request is withdrawn.
"""

from controller.machine import incidents
from controller.machine.actions import Propose, WithdrawProposal
from controller.machine.environments.alerts import background, notify
from controller.machine.environments.ending import stop
from controller.machine.environments.environment import (
    Branch,
    EnvironmentContext,
    EnvironmentState,
    RolloutDecisionBuilder,
    file_of,
    with_rollout,
)
from controller.machine.environments.rollout import ReleaseProposal, Rollout
from controller.machine.messages import ReleaseProposed
from controller.machine.pipelines.version import ModelVersion

SLOW = 120.0
"""Seconds after which people are notified even if the pull request is not open yet."""
AGAIN = 600.0
"""Seconds until opening a pull request is tried again after it failed."""


def ask(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, context: EnvironmentContext
) -> EnvironmentState:
    """Open the pull request, update it when the file changes, and notify who may approve."""
    if (
        context.observed.proposes
        and env.write is None
        and _is_due(env, rollout.proposal, context.now)
    ):
        context.out.actions.append(_propose(env, rollout, version))
        known = rollout.proposal or ReleaseProposal(seen=None)
        known = known.model_copy(update={"seen": env.acted_on, "failed": None})
        rollout = rollout.model_copy(update={"proposal": known})
        env = env.model_copy(update={"rollout": rollout})
    proposal = rollout.proposal
    is_open = proposal is not None and proposal.pull is not None
    if context.observed.proposes and not is_open and context.now - rollout.asked < SLOW:
        return env  # wait a moment, so that the notification has its address
    url = proposal.url if proposal else ""
    about = background(env, rollout, context, "approval asked for")
    incident = incidents.approval(env.pipeline, env.name, rollout.version, env.stable, about, url)
    return notify(env, version, "approval_needed", rollout.id, incident, context.out)


def _is_due(env: EnvironmentState, proposal: ReleaseProposal | None, now: float) -> bool:
    if proposal is None or proposal.seen != env.acted_on:
        return True
    return proposal.failed is not None and now - proposal.failed >= AGAIN


def _propose(env: EnvironmentState, rollout: Rollout, version: ModelVersion) -> Propose:
    file = file_of(
        env, rollout.version, version, by=rollout.by, reason=rollout.why, at=rollout.asked
    )
    return Propose(
        repository=env.repository,
        proposal=rollout.id,
        file=file,
        version=version.number,
        baseline=env.stable.version if env.stable else None,
        seen=env.acted_on,
    )


def opened(
    env: EnvironmentState, message: ReleaseProposed, _context: EnvironmentContext
) -> EnvironmentState:
    """The pull request is there."""
    rollout = env.rollout
    if rollout is None or rollout.id != message.proposal or rollout.proposal is None:
        return env  # of a rollout that has ended, and is withdrawn
    found = {"pull": message.pull, "url": message.url, "failed": None}
    return with_rollout(env, rollout, proposal=rollout.proposal.model_copy(update=found))


def not_opened(
    env: EnvironmentState, rollout: Rollout, why: str, context: EnvironmentContext
) -> EnvironmentState:
    """It cannot be opened, or not be brought up to date: `headgate approve` is left."""
    if rollout.proposal is None or not rollout.awaiting_approval:
        return env
    proposal = rollout.proposal.model_copy(update={"failed": context.now})
    env = with_rollout(env, rollout, proposal=proposal)
    version = context.version(rollout.version)
    about = background(env, rollout, context, "approval asked for")
    place = (env.pipeline, env.name, rollout.version, env.stable)
    incident = incidents.not_proposed(*place, about, why)
    return notify(env, version, "approval_needed", rollout.id, incident, context.out)


def approve(
    env: EnvironmentState,
    rollout: Rollout,
    branch: Branch,
    context: EnvironmentContext,
) -> EnvironmentState:
    """Approve the rollout because a person's commit on the branch names its version."""
    if not rollout.awaiting_approval:
        return with_rollout(env, rollout, approved=rollout.approved or context.now)
    seen, proposal = context.observed.proposal, rollout.proposal
    pull = f"pull request #{proposal.pull}" if proposal and proposal.pull else "its proposal"
    if seen is not None and seen.state == "merged":
        by, said = seen.by or f"who merged {pull}", f"merged {pull}"
    elif branch.proposal == rollout.id:
        by, said = f"who merged {pull}", f"merged as commit {branch.commit[:12]}"
    else:
        by, said = branch.author or "somebody", f"named by commit {branch.commit[:12]}"
    why = f"{rollout.why}; approved by {by}: {said}"
    return with_rollout(env, rollout, approved=context.now, by=by, why=why)


def follow_pull_request(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Decline if the pull request was closed, or if what was merged names another version."""
    rollout, seen = env.rollout, context.observed.proposal
    if rollout is None or not rollout.awaiting_approval or rollout.proposal is None or seen is None:
        return env
    if seen.pull != rollout.proposal.pull:
        return env
    by = seen.by or "somebody"
    if seen.state == "closed":
        why = f"declined by {by}, who closed pull request #{seen.pull}"
        return stop(env, rollout, "aborted", why, context)
    if seen.state == "merged" and seen.landed:
        why = f"{by} merged pull request #{seen.pull}, and the file does not name it"
        return stop(env, rollout, "aborted", why, context)
    return env


def withdraw(
    before: EnvironmentState, env: EnvironmentState, out: RolloutDecisionBuilder
) -> set[str]:
    """Withdraw a pull request that needs no decision any more.

    Returns the lanes whose older actions are outdated now.
    """
    old, new = before.rollout, env.rollout
    if old is not None and old.proposal is not None and old.awaiting_approval:
        same = new is not None and new.id == old.id
        if new is None or not same or not new.awaiting_approval:
            text = _why_over(env, old, new if same else None, out)
            out.actions.append(
                WithdrawProposal(repository=env.repository, proposal=old.id, text=text)
            )
    return {a.lane for a in out.actions if isinstance(a, Propose | WithdrawProposal)}


def _why_over(
    env: EnvironmentState, old: Rollout, approved: Rollout | None, out: RolloutDecisionBuilder
) -> str:
    if approved is not None:
        return f"Nothing is left to merge: {approved.why.rpartition('; ')[2]}."
    ended = next((one for one in out.ended if one.rollout.id == old.id), None)
    why = ended.reason if ended else "it is over"
    again = f"headgate retry {env.place}"
    hint = "" if ended and ended.outcome == "superseded" else f" `{again}` proposes it again."
    return f"{old.version} is not released: {why}.{hint}"
