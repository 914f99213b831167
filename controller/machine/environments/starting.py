"""PURE. What starts a rollout: a release, a person's verb."""

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
    moved,
)
from controller.machine.environments.job import is_batch
from controller.machine.environments.rollout import Kind, Rollout
from controller.machine.messages import ReleaseRequested, Retry, Rollback, Verb
from controller.machine.pipelines.version import Ref


def release(
    env: EnvironmentState, message: ReleaseRequested, context: EnvironmentContext
) -> EnvironmentState:
    """Begin a rollout of the version that passed, unless something or somebody forbids it."""
    ref = Ref(version=message.version, digest=message.digest)
    version = context.observed.versions.get(ref.version)
    bad = env.quarantined(ref.digest)
    if bad is not None:
        why = f"{ref} is quarantined: {bad.reason}"
        context.out.actions += _not_released(env, ref, why, message)
        said = f"{why.rstrip('.')}. {_mend(env, ref)}"
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
        return env.model_copy(update={"deferred_release": message})  # a person's word comes first
    if env.name == "staging" and env.stable == ref:
        context.out.messages.append(_pass_on(env, message))
    if message.again and _was_here(env, ref):
        return env  # people, or the judge, have had their word on it
    if env.stable is not None and env.stable.digest == ref.digest:
        if env.rollout is not None:  # a revert on the watched branch takes the newer one back
            why = f"superseded by {ref}, which serves already"
            env = stop(env, env.rollout, "superseded", why, context)
        return env
    if env.rollout is not None and env.rollout.version == ref:
        return env
    env = begin_rollout(env, ref, "release", message.why, "headgate", context)
    asked = {"run": message.run, "commit": message.commit}
    return moved(env, env.rollout, **asked) if env.rollout is not None else env


def _was_here(env: EnvironmentState, ref: Ref) -> bool:
    stopped = env.stopped.version if env.stopped else None
    return ref in (env.stable, stopped, *env.former)


def _pass_on(env: EnvironmentState, message: ReleaseRequested) -> Envelope:
    """Staging has it already. Whether production heard of it is not certain: a state that was
    lost may have taken that with it."""
    return Envelope(
        to=Key("environment", f"{env.pipeline}/production"),
        id=f"again/{message.run}/{env.rollouts}",
        message=message.model_copy(update={"again": True}),
    )


def _not_released(
    env: EnvironmentState, ref: Ref, why: str, message: ReleaseRequested
) -> Sequence[ReportCommit]:
    """Who looks at the commit sees why what passed there does not come to serve."""
    if not message.run or not message.commit:
        return ()
    return (
        ReportCommit(
            repository=env.repository,
            commit=message.commit,
            pipeline=env.pipeline,
            state="held",
            title=f"passed, and is not released in {env.name}: {why}",
            run=message.run,
            text=f"Released it will not be as long as it is quarantined. {_mend(env, ref)}",
        ),
    )


def _mend(env: EnvironmentState, ref: Ref) -> str:
    return f"`headgate retry {env.place} --version {ref.version}` lifts that and tries it again."


def begin_rollout(
    env: EnvironmentState, ref: Ref, kind: Kind, why: str, by: str, context: EnvironmentContext
) -> EnvironmentState:
    """A rollout of that version; it supersedes the one in progress."""
    version = context.observed.versions.get(ref.version)
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
    """Leave the canary, or bring back a former version, and quarantine what is left behind.

    The request names the version that it means to leave, so that of two people who ask for the
    same at once the second does not leave the good one.
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
        return env  # it is on its way back
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
            why = f"v{to.version} is what serves here"
        elif to is not None and wanted is not None:
            lift = f"`headgate retry {env.place} --version {to.version}`"
            why = f"v{to.version} is quarantined: {lift} lifts that, and tries it again"
        return refuse(
            env, why, None, context, f"rollback/{context.now}", needs_human=bad is not None
        )
    stopped = left(env, bad, reason, by, context.now)
    env = begin_rollout(env, to, "revert", reason, by, context)
    return quarantine(env.model_copy(update={"stopped": stopped}), bad, reason, context.now)


def not_serving(env: EnvironmentState, leave: int | None) -> str:
    """Why a version cannot be left, and what to say to leave the one that serves."""
    serves = env.stable
    if serves is None:
        return f"v{leave} does not serve here; nothing does"
    say = f"`headgate rollback {env.place} --from {serves.version}`"
    return f"v{leave} does not serve any more; v{serves.version} does: say {say} to leave that one"


def left(env: EnvironmentState, bad: Ref, why: str, by: str, now: float) -> Rollout:
    """What served and is left, as a rollout that was stopped: so that it can be tried again."""
    return Rollout(
        id=env.brought or f"{env.pipeline}-{env.name}-{env.rollouts}",
        version=bad,
        kind="release",
        why=why,
        by=by,
        asked=now,
    )


def retry(env: EnvironmentState, message: Retry, context: EnvironmentContext) -> EnvironmentState:
    """Try the last version that was stopped or left again, or the one that is named, and lift its
    quarantine; or renew a write; or run a batch once more."""
    if env.write is not None:
        context.out.actions.append(env.write)
    if env.unknown is not None:
        return env  # the branch was looked at anew
    if env.rollout is None and batch.has_ended(env, message.version):
        return batch.again(env, who(message), context)
    stopped, number = env.stopped, message.version
    named = context.observed.versions.get(number) if number is not None else None
    ref = named.ref if named is not None else stopped.version if stopped else None
    if env.rollout is not None or ref is None or (number is not None and named is None):
        return env
    if ref == env.stable:
        return env.model_copy(update={"stopped": None})
    if env.pinned is not None:
        why = f"{ref} may not replace what runs: pinned by commit {env.pinned[:12]}"
        version = context.observed.versions.get(ref.version)
        return refuse(env, why, version, context, f"retry/{ref.version}/{context.now}")
    same = stopped is not None and stopped.version == ref
    why = (
        f"{stopped.why if stopped and same else f'v{ref.version}'} (tried again by {who(message)})"
    )
    env = lift(env, ref, who(message), message.by, context)
    env = env.model_copy(update={"stopped": None})
    # The file no longer asks for what was a wish, so it has to be told.
    kind: Kind = "revert" if stopped and same and stopped.kind != "release" else "release"
    by = message.by
    return begin_rollout(env, ref, kind, why, by, context)


def lift(
    env: EnvironmentState, ref: Ref, why: str, by: str, context: EnvironmentContext
) -> EnvironmentState:
    """Let a quarantined version be released again, and say on the branch who wanted it and why."""
    bad = env.quarantined(ref.digest)
    if bad is None:
        return env
    rest = tuple(q for q in env.quarantine if q.digest != ref.digest)
    env = env.model_copy(update={"quarantine": rest})
    stable = context.observed.versions.get(env.stable.version) if env.stable else None
    reason = f"the quarantine of {ref} is lifted by {why}; it was: {bad.reason}"
    file = file_of(env, env.stable, stable, by=by, reason=reason, at=context.now)
    name = f"{env.place}/lift/{env.rollouts}/{bad.since}"
    return write(
        env, name, f"lift the quarantine of v{ref.version} in {env.name}", file, context.out
    )


def who(verb: Verb) -> str:
    """The person who asked, with the reason that was given."""
    return f"{verb.by}: {verb.reason}" if verb.reason else verb.by
