"""PURE. What starts a rollout: a release, or a person's command."""

from collections.abc import Sequence

from controller.machine.actions import ReportCommit
from controller.machine.branch_incidents import way_on
from controller.machine.core import Envelope, Key
from controller.machine.environments import batch
from controller.machine.environments.alerts import refuse
from controller.machine.environments.branch import write
from controller.machine.environments.ending import quarantine, stop
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    file_of,
    with_rollout,
)
from controller.machine.environments.job import is_batch
from controller.machine.environments.rollout import Kind, Rollout
from controller.machine.messages import ReleaseRequested, Retry, Rollback, Verb
from controller.machine.pipelines.version import Ref


def release(
    env: EnvironmentState, message: ReleaseRequested, context: EnvironmentContext
) -> EnvironmentState:
    """Begin a rollout of the version that passed, unless a quarantine, pin or person forbids it."""
    ref = Ref(version=message.version, digest=message.digest)
    version = context.version(ref)
    bad = env.quarantined(ref.digest)
    if bad is not None:
        why = f"{ref} is quarantined: {bad.reason}"
        context.out.actions += _report_not_released(env, ref, why, message)
        said = f"{why.rstrip('.')}. {_fix(env, ref)}"
        return refuse(env, said, version, context, f"release/{ref.version}")
    env = env.model_copy(update={"deferred_release": None})
    if env.unknown is not None:
        why = f"{ref} is not released: {env.unknown} {way_on(env.place)}"
        env = env.model_copy(update={"deferred_release": message})
        return refuse(env, why, version, context, f"release/{ref.version}")
    if env.pinned is not None:
        why = f"{ref} may not replace what runs: pinned by commit {env.pinned[:12]}"
        env = env.model_copy(update={"deferred_release": message})
        return refuse(env, why, version, context, f"release/{ref.version}")
    if env.rollout is not None and env.rollout.kind != "release":
        return env.model_copy(
            update={"deferred_release": message}
        )  # what a person asked for comes first
    if env.name == "staging" and env.stable is not None and env.stable.digest == ref.digest:
        context.out.messages.append(_pass_on(env, env.stable, message))
    if message.again and _was_here(env, ref):
        return env  # a person, or the judge, has decided on it
    if env.stable is not None and env.stable.digest == ref.digest:
        if env.rollout is not None:  # a revert in the code brings this version back
            why = f"superseded by {ref}, which already serves"
            env = stop(env, env.rollout, "superseded", why, context)
        return env
    if env.rollout is not None and env.rollout.version == ref:
        return env
    env = begin_rollout(env, ref, "release", message.why, "headgate", context)
    asked = {"run": message.run, "commit": message.commit}
    return with_rollout(env, env.rollout, **asked) if env.rollout is not None else env


def _was_here(env: EnvironmentState, ref: Ref) -> bool:
    stopped = env.stopped.version if env.stopped else None
    return ref in (env.stable, stopped, *env.former)


def _pass_on(env: EnvironmentState, ref: Ref, message: ReleaseRequested) -> Envelope:
    """Send a version that staging already runs on to production, which may not know of it: that
    message may have been lost with an earlier state. So may its number: then the run that made it
    gave it another one, and that of the branch counts."""
    return Envelope(
        to=Key("environment", f"{env.pipeline}/production"),
        id=f"again/{message.run}/{env.rollouts}",
        message=message.model_copy(update={"again": True, "version": ref.version}),
    )


def _report_not_released(
    env: EnvironmentState, ref: Ref, why: str, message: ReleaseRequested
) -> Sequence[ReportCommit]:
    """Show on the commit why the version is not released although it passed."""
    if not message.run or not message.commit:
        return ()
    return (
        ReportCommit(
            repository=env.repository,
            commit=message.commit,
            pipeline=env.pipeline,
            state="held",
            title=f"passed, but is not released to {env.name}: {why}",
            run=message.run,
            text=f"It is not released while it is quarantined. {_fix(env, ref)}",
        ),
    )


def _fix(env: EnvironmentState, ref: Ref) -> str:
    return (
        f"`headgate retry {env.place} --version {ref.version}` lifts the quarantine and retries it."
    )


def begin_rollout(
    env: EnvironmentState, ref: Ref, kind: Kind, why: str, by: str, context: EnvironmentContext
) -> EnvironmentState:
    """Begin a rollout of that version. It supersedes the one in progress."""
    version = context.version(ref)
    if version is None or version.spec.release is None:
        why = f"v{ref.version} is not known"
        return refuse(env, why, version, context, f"unknown/{ref.version}")
    if env.rollout is not None:
        env = stop(env, env.rollout, "superseded", f"superseded by v{ref.version}", context)
    production = version.spec.release.production
    asks = production.approval == "pull-request" and kind == "release" and env.name == "production"
    number = env.rollouts + 1
    rollout = Rollout(
        id=f"{env.pipeline}-{env.name}-{number}",
        version=ref,
        kind=kind,
        why=why,
        by=by,
        asked=context.now,
        approval=asks,
        points=is_batch(version.spec),
        deployed=None if asks else context.now,
    )
    return env.model_copy(update={"rollout": rollout, "rollouts": number})


def roll_back(
    env: EnvironmentState, message: Rollback, context: EnvironmentContext
) -> EnvironmentState:
    """Roll back the canary, or bring back a former version, and quarantine the one that is left.

    The request names the version to leave. So if two people roll back at the same time, the second
    request does not leave the good version.
    """
    by, reason = message.by, message.reason or f"rolled back by {message.by}"
    rollout, wanted, leave = env.rollout, message.to, message.leave
    of_stable = leave is None or (env.stable is not None and env.stable.version == leave)
    if (
        of_stable
        and rollout is not None
        and rollout.kind == "revert"
        and wanted in (None, rollout.version.version)
    ):
        return env  # it is being brought back already
    if (
        rollout is not None
        and rollout.deployed is not None
        and wanted is None
        and leave in (None, rollout.version.version)
    ):
        said = f"rolled back by {who(message)}"
        return stop(env, rollout, "rolled_back", said, context)
    if not of_stable:
        return refuse(env, not_serving(env, leave), None, context, f"rollback/{context.now}")
    number = wanted if wanted is not None else next((r.version for r in env.former), None)
    version = context.observed.versions.get(number) if number is not None else None
    to = version.ref if version and version.spec.release else None
    bad = env.stable
    if to is None or bad is None or to == bad or env.quarantined(to.digest):
        why = "there is no former version to go back to that is not quarantined"
        if to is not None and to == bad:
            why = f"v{to.version} already serves here"
        elif to is not None and wanted is not None:
            lift = f"`headgate retry {env.place} --version {to.version}`"
            why = f"v{to.version} is quarantined: {lift} lifts the quarantine and retries it"
        return refuse(
            env, why, None, context, f"rollback/{context.now}", needs_human=bad is not None
        )
    stopped = stopped_rollout(env, bad, reason, by, context.now)
    env = begin_rollout(env, to, "revert", reason, by, context)
    return quarantine(env.model_copy(update={"stopped": stopped}), bad, reason, context.now)


def not_serving(env: EnvironmentState, leave: int | None) -> str:
    """Why a version cannot be rolled back, and the command that rolls back what serves."""
    serves = env.stable
    if serves is None:
        return f"v{leave} does not serve here; nothing does"
    say = f"`headgate rollback {env.place} --from {serves.version}`"
    return f"v{leave} no longer serves; v{serves.version} does: {say} rolls that one back"


def stopped_rollout(env: EnvironmentState, bad: Ref, why: str, by: str, now: float) -> Rollout:
    """The version that is left, as a stopped rollout, so that it can be retried."""
    return Rollout(
        id=env.stable_rollout or f"{env.pipeline}-{env.name}-{env.rollouts}",
        version=bad,
        kind="release",
        why=why,
        by=by,
        asked=now,
    )


def retry(env: EnvironmentState, message: Retry, context: EnvironmentContext) -> EnvironmentState:
    """Retry the version that is named, or else the last that was stopped or left, and lift its
    quarantine; or retry a commit; or run a batch command again."""
    if env.write is not None:
        context.out.actions.append(env.write)
    if env.unknown is not None:
        return env  # `adopt` has read the branch again
    if env.rollout is None and batch.can_run_again(env, message.version):
        return batch.run_again(env, who(message), context)
    stopped, number = env.stopped, message.version
    named = context.observed.versions.get(number) if number is not None else None
    ref = named.ref if named is not None else stopped.version if stopped else None
    if env.rollout is not None or ref is None or (number is not None and named is None):
        return env
    if ref == env.stable:
        return env.model_copy(update={"stopped": None})
    if env.pinned is not None:
        why = f"{ref} may not replace what runs: pinned by commit {env.pinned[:12]}"
        version = context.version(ref)
        return refuse(env, why, version, context, f"retry/{ref.version}/{context.now}")
    same = stopped is not None and stopped.version == ref
    why = f"{stopped.why if stopped and same else f'v{ref.version}'} (retried by {who(message)})"
    env = lift_quarantine(env, ref, who(message), message.by, context)
    env = env.model_copy(update={"stopped": None})
    # The file no longer names what a person's commit asked for: this rollout needs its own commit.
    kind: Kind = "revert" if stopped and same and stopped.kind != "release" else "release"
    by = message.by
    return begin_rollout(env, ref, kind, why, by, context)


def lift_quarantine(
    env: EnvironmentState, ref: Ref, why: str, by: str, context: EnvironmentContext
) -> EnvironmentState:
    """Lift the quarantine of a version, and write to the branch who asked for that and why."""
    bad = env.quarantined(ref.digest)
    if bad is None:
        return env
    rest = tuple(q for q in env.quarantine if q.digest != ref.digest)
    env = env.model_copy(update={"quarantine": rest})
    stable = context.version(env.stable)
    reason = f"the quarantine of {ref} was lifted by {why}; its reason was: {bad.reason}"
    file = file_of(env, env.stable, stable, by=by, reason=reason, at=context.now)
    name = f"{env.place}/lift/{env.rollouts}/{bad.since}"
    return write(
        env, name, f"lift the quarantine of v{ref.version} in {env.name}", file, context.out
    )


def who(verb: Verb) -> str:
    """The person who asked, with the reason they gave."""
    return f"{verb.by}: {verb.reason}" if verb.reason else verb.by
