"""`headgate approve`, `promote`, `rollback`, `pause` and `resume`: a person steers a rollout."""

from collections.abc import Callable

import click

from controller.cli.act.acting import with_store
from controller.cli.act.mail import ask, no_wait_option, who
from controller.cli.failures import Failed
from controller.cli.places import environment, place_argument
from controller.cli.reach import Reach, known
from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout
from controller.machine.environments.starting import not_serving
from controller.machine.messages import Approve, Pause, Promote, Resume, Rollback, Verb
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.store.protocol import Store

Objection = Callable[[EnvironmentState], str | None]
"""Why a verb has nothing to act on; None when it has."""

reason_option = click.option("--reason", metavar="TEXT", help="Why; kept with the change.")


async def steer(
    store: Store,
    here: Reach,
    place: str,
    verb: Verb,
    objection: Objection,
    *,
    wait: bool,
) -> None:
    """Send a verb to an environment, and say what came of it."""
    env = await environment(store, place)
    why_not = objection(env)
    if why_not:
        raise Failed(f"{env.place}: {why_not}")
    key = Key("environment", env.place)
    if await ask(store, here.home, key, verb, wait=wait):
        after = await known(store, "environment", env.place, EnvironmentState, "environment")
        click.echo(describe(after))


def describe(env: EnvironmentState) -> str:
    """What an environment does now, in a sentence."""
    does = "points to" if env.points else "serves"
    serves = f"{does} v{env.stable.version}" if env.stable else "serves nothing"
    parts = [f"{env.place} {serves}"]
    if env.rollout is not None:
        doing = "is being promoted" if env.rollout.decided is not None else "is on its way"
        parts.append(f"v{env.rollout.version.version} {doing}")
    elif env.stopped is not None:
        parts.append(f"v{env.stopped.version.version} was stopped")
    if env.job is not None and env.job.open and env.rollout is None:
        parts.append(f"the batch of v{env.job.version.version} is being run")
    if env.paused is not None:
        parts.append(f"paused by {env.paused}")
    return "; ".join(parts) + "."


@click.command(short_help="Agree to a rollout that waits for a person.")
@place_argument
@reason_option
@no_wait_option
@click.pass_context
def approve(ctx: click.Context, place: str, reason: str | None, no_wait: bool) -> None:
    """Agree to the rollout that waits for a person, where the spec asks for approval.

    Without an environment, production is meant.

    \b
    Example:
      headgate approve flight-delay
    """

    def objection(env: EnvironmentState) -> str | None:
        rollout = env.rollout
        waits = rollout is not None and rollout.approval and rollout.approved is None
        return None if waits else "nothing waits for an approval here."

    async def run(store: Store, here: Reach) -> None:
        await steer(
            store, here, place, Approve(by=who(), reason=reason), objection, wait=not no_wait
        )

    with_store(ctx, run)


@click.command(short_help="Bring the version in progress into service now.")
@place_argument
@reason_option
@no_wait_option
@click.pass_context
def promote(ctx: click.Context, place: str, reason: str | None, no_wait: bool) -> None:
    """Bring the version in progress into service now, whatever the judge still waits for.

    It has to be up and ready. The commit on the environments branch says who promoted it.

    \b
    Example:
      headgate promote flight-delay --reason "traffic is too low for the judge tonight"
    """

    def objection(env: EnvironmentState) -> str | None:
        if env.rollout is None:
            return "there is no rollout in progress to promote."
        return env.rollout.not_yet()

    async def run(store: Store, here: Reach) -> None:
        await steer(
            store, here, place, Promote(by=who(), reason=reason), objection, wait=not no_wait
        )

    with_store(ctx, run)


@click.command(short_help="Leave the canary, or bring back a former version.")
@place_argument
@click.option("--to", metavar="N", type=click.IntRange(1), help="The version to bring back.")
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
    """Roll back: leave the canary in progress, or else bring back the version before.

    What is left behind is quarantined. A version that served before is not judged again. The
    request is for the version that is seen to serve: once somebody else has left it, nothing is
    done. To leave what a rollback has just brought back as well, name it with --from.

    \b
    Example:
      headgate rollback flight-delay --reason "scores look shifted"
      headgate rollback flight-delay/production --from 4 --to 3
    """

    def objection(env: EnvironmentState) -> str | None:
        if to is None and env.rollout is None and not env.former:
            return "there is no rollout in progress and no former version to go back to."
        if to is not None and env.stable is not None and env.stable.version == to:
            return f"v{to} is what it serves."
        bad = next((q for q in env.quarantine if q.version == to), None)
        return f"v{to} is quarantined: {bad.reason}" if bad else None

    async def run(store: Store, here: Reach) -> None:
        env = await environment(store, place)
        if to is not None:
            await known(store, "model", f"{env.pipeline}/{to}", ModelVersion, "model version")
        if leave is None and await _came_back(store, env):
            assert env.stable is not None
            raise Failed(
                f"{env.place}: a rollback brought v{env.stable.version} back, and it serves. To "
                f"leave it as well: `headgate rollback {env.place} --from {env.stable.version}`."
            )
        seen = _canary(env) if to is None else None
        seen = seen or env.stable
        if leave is not None and leave not in [r.version for r in (env.stable, seen) if r]:
            raise Failed(f"{env.place}: {not_serving(env, leave)}.")
        left = leave or (seen.version if seen else None)
        verb = Rollback(by=who(), reason=reason, to=to, leave=left)
        await steer(store, here, place, verb, objection, wait=not no_wait)

    with_store(ctx, run)


def _canary(env: EnvironmentState) -> Ref | None:
    """The version in progress that a rollback leaves, as long as nothing else is said."""
    rollout = env.rollout
    is_up = rollout is not None and rollout.deployed is not None and rollout.kind != "revert"
    return rollout.version if rollout is not None and is_up else None


async def _came_back(store: Store, env: EnvironmentState) -> bool:
    """Whether what serves was brought back by a rollback, and nothing newer is on its way."""
    if env.brought is None or env.rollout is not None:
        return False
    record = await store.get(Key("rollout", env.brought))
    return record is not None and parsed(EndedRollout, record.body).rollout.kind == "revert"


@click.command(short_help="Keep a rollout from going on by itself.")
@place_argument
@reason_option
@no_wait_option
@click.pass_context
def pause(ctx: click.Context, place: str, reason: str | None, no_wait: bool) -> None:
    """Keep rollouts from growing or being promoted by themselves, until `headgate resume`.

    A rollback still happens, and what is brought back by it is paused as well.

    \b
    Example:
      headgate pause flight-delay
    """

    def objection(env: EnvironmentState) -> str | None:
        return f"it is paused already, by {env.paused}." if env.paused else None

    async def run(store: Store, here: Reach) -> None:
        await steer(store, here, place, Pause(by=who(), reason=reason), objection, wait=not no_wait)

    with_store(ctx, run)


@click.command(short_help="Let a paused rollout go on.")
@place_argument
@no_wait_option
@click.pass_context
def resume(ctx: click.Context, place: str, no_wait: bool) -> None:
    """Let rollouts that were paused go on.

    Where the state was lost and does not know what runs, this lets the next release replace it.

    \b
    Example:
      headgate resume flight-delay
    """

    def objection(env: EnvironmentState) -> str | None:
        return None if env.paused or env.unknown else "it is not paused."

    async def run(store: Store, here: Reach) -> None:
        await steer(store, here, place, Resume(by=who()), objection, wait=not no_wait)

    with_store(ctx, run)
