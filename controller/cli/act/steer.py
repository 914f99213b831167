"""`headgate approve`, `promote`, `rollback`, `pause` and `resume`, which steer a rollout."""

from collections.abc import Callable

import click

from controller.cli.act.sending import no_wait_option, send_and_wait, user_name, with_store
from controller.cli.context import CliContext, require
from controller.cli.environment_argument import find_environment, place_argument
from controller.cli.failures import Failed
from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout
from controller.machine.environments.starting import not_serving
from controller.machine.messages import Approve, Pause, Promote, Resume, Rollback, Verb
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.store.protocol import Store

Objection = Callable[[EnvironmentState], str | None]
"""Why a command does not apply to an environment, or None if it does."""

reason_option = click.option("--reason", metavar="TEXT", help="Why; recorded with the change.")


async def steer(
    store: Store,
    here: CliContext,
    place: str,
    verb: Verb,
    objection: Objection,
    *,
    wait: bool,
) -> None:
    """Send a verb to an environment, and say what came of it."""
    env = await find_environment(store, place)
    why_not = objection(env)
    if why_not:
        raise Failed(f"{env.place}: {why_not}")
    key = Key("environment", env.place)
    if await send_and_wait(store, here.home, key, verb, wait=wait):
        after = await require(store, "environment", env.place, EnvironmentState, "environment")
        click.echo(describe(after))


def describe(env: EnvironmentState) -> str:
    """What an environment does now, in a sentence."""
    does = "points to" if env.points else "serves"
    serves = f"{does} v{env.stable.version}" if env.stable else "serves nothing"
    parts = [f"{env.place} {serves}"]
    if env.rollout is not None:
        doing = "is being promoted" if env.rollout.decided is not None else "is being released"
        parts.append(f"v{env.rollout.version.version} {doing}")
    elif env.stopped is not None:
        parts.append(f"v{env.stopped.version.version} was stopped")
    if env.job is not None and env.job.open and env.rollout is None:
        parts.append(f"the batch command of v{env.job.version.version} is running")
    if env.paused is not None:
        parts.append(f"paused by {env.paused}")
    return "; ".join(parts) + "."


@click.command(short_help="Approve a rollout.")
@place_argument
@reason_option
@no_wait_option
@click.pass_context
def approve(ctx: click.Context, place: str, reason: str | None, no_wait: bool) -> None:
    """Approve the rollout that is awaiting approval, if the spec requires one.

    The environment is production unless another is named.

    \b
    Example:
      headgate approve flight-delay
    """

    def objection(env: EnvironmentState) -> str | None:
        rollout = env.rollout
        waits = rollout is not None and rollout.approval and rollout.approved is None
        return None if waits else "no rollout is awaiting approval."

    async def run(store: Store, here: CliContext) -> None:
        await steer(
            store, here, place, Approve(by=user_name(), reason=reason), objection, wait=not no_wait
        )

    with_store(ctx, run)


@click.command(short_help="Promote the version in progress now.")
@place_argument
@reason_option
@no_wait_option
@click.pass_context
def promote(ctx: click.Context, place: str, reason: str | None, no_wait: bool) -> None:
    """Promote the version in progress now, without waiting for the judge.

    Its server has to be ready. The commit on the environments branch says who promoted it.

    \b
    Example:
      headgate promote flight-delay --reason "traffic is too low for the judge tonight"
    """

    def objection(env: EnvironmentState) -> str | None:
        if env.rollout is None:
            return "there is no rollout in progress to promote."
        return env.rollout.not_yet()

    async def run(store: Store, here: CliContext) -> None:
        await steer(
            store, here, place, Promote(by=user_name(), reason=reason), objection, wait=not no_wait
        )

    with_store(ctx, run)


@click.command(short_help="Roll back the canary, or to an earlier version.")
@place_argument
@click.option("--to", metavar="N", type=click.IntRange(1), help="The version to go back to.")
@click.option("--from", "leave", metavar="N", type=click.IntRange(1), help="The version to leave.")
@reason_option
@no_wait_option
@click.pass_context
def rollback(
    ctx: click.Context,
    place: str,
    to: int | None,
    leave: int | None,
    reason: str | None,
    no_wait: bool,
) -> None:
    """Roll back the canary in progress, or else go back to the previous version.

    The version that is rolled back is quarantined. The one that replaces it is not judged again.
    The request applies to the version that serves now: nothing happens if somebody else has rolled
    it back in the meantime. If a rollback has just put it there, name it with --from.

    \b
    Example:
      headgate rollback flight-delay --reason "scores look shifted"
      headgate rollback flight-delay/production --from 4 --to 3
    """

    def objection(env: EnvironmentState) -> str | None:
        if to is None and env.rollout is None and not env.former:
            return "there is no rollout in progress and no earlier version to go back to."
        if to is not None and env.stable is not None and env.stable.version == to:
            return f"it already serves v{to}."
        bad = next((q for q in env.quarantine if q.version == to), None)
        return f"v{to} is quarantined: {bad.reason}" if bad else None

    async def run(store: Store, here: CliContext) -> None:
        env = await find_environment(store, place)
        if to is not None:
            await require(store, "model", f"{env.pipeline}/{to}", ModelVersion, "model version")
        if leave is None and await _is_rolled_back(store, env):
            assert env.stable is not None
            raise Failed(
                f"{env.place}: it serves v{env.stable.version} because of a rollback. To roll that "
                f"back, too: `headgate rollback {env.place} --from {env.stable.version}`."
            )
        seen = _canary(env) if to is None else None
        seen = seen or env.stable
        if leave is not None and leave not in [r.version for r in (env.stable, seen) if r]:
            raise Failed(f"{env.place}: {not_serving(env, leave)}.")
        left = leave or (seen.version if seen else None)
        verb = Rollback(by=user_name(), reason=reason, to=to, leave=left)
        await steer(store, here, place, verb, objection, wait=not no_wait)

    with_store(ctx, run)


def _canary(env: EnvironmentState) -> Ref | None:
    """The version in progress, if a rollback without options applies to it."""
    rollout = env.rollout
    is_up = rollout is not None and rollout.deployed is not None and rollout.kind != "revert"
    return rollout.version if rollout is not None and is_up else None


async def _is_rolled_back(store: Store, env: EnvironmentState) -> bool:
    """Whether a rollback is the reason for what it serves, and nothing newer is in progress."""
    if env.stable_rollout is None or env.rollout is not None:
        return False
    record = await store.get(Key("rollout", env.stable_rollout))
    return record is not None and parsed(EndedRollout, record.body).rollout.kind == "revert"


@click.command(short_help="Stop rollouts from progressing by themselves.")
@place_argument
@reason_option
@no_wait_option
@click.pass_context
def pause(ctx: click.Context, place: str, reason: str | None, no_wait: bool) -> None:
    """Stop canaries from growing and versions from being promoted, until `headgate resume`.

    Rollbacks still happen; the environment stays paused after one.

    \b
    Example:
      headgate pause flight-delay
    """

    def objection(env: EnvironmentState) -> str | None:
        return f"it is already paused, by {env.paused}." if env.paused else None

    async def run(store: Store, here: CliContext) -> None:
        await steer(
            store, here, place, Pause(by=user_name(), reason=reason), objection, wait=not no_wait
        )

    with_store(ctx, run)


@click.command(short_help="Resume paused rollouts.")
@place_argument
@no_wait_option
@click.pass_context
def resume(ctx: click.Context, place: str, no_wait: bool) -> None:
    """Resume paused rollouts.

    If the state was lost and does not know what runs, this allows the next release to replace it.

    \b
    Example:
      headgate resume flight-delay
    """

    def objection(env: EnvironmentState) -> str | None:
        return None if env.paused or env.unknown else "it is not paused."

    async def run(store: Store, here: CliContext) -> None:
        await steer(store, here, place, Resume(by=user_name()), objection, wait=not no_wait)

    with_store(ctx, run)
