"""`headgate retry` and `headgate abort`: for a run, or for a rollout."""

from functools import partial

import click

from controller.cli.act.acting import with_store
from controller.cli.act.mail import ask, no_wait_option, who
from controller.cli.act.steer import reason_option, steer
from controller.cli.act.trigger import request
from controller.cli.failures import Failed
from controller.cli.reach import Reach, known, no_such
from controller.machine.core import Key, parsed
from controller.machine.environments.batch import has_ended
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import Abort, CancelRun, Retry
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.run import Run
from controller.store.protocol import Store

what_argument = click.argument("what", metavar="RUN|PIPELINE[/ENVIRONMENT]")


@click.command(short_help="Try a run or a rollout again.")
@what_argument
@click.option("--version", "number", metavar="N", type=click.IntRange(1), help="Of a place: which.")
@reason_option
@no_wait_option
@click.pass_context
def retry(
    ctx: click.Context, what: str, number: int | None, reason: str | None, no_wait: bool
) -> None:
    """Try again: a new run at the head of a run's branch, or what was stopped or left last; the
    command of a batch release is run once more.

    Steps that succeeded come from the cache. Trying a version again lifts its quarantine, and the
    environments branch says who wanted it and why; in production it is judged as a canary again.

    \b
    Example:
      headgate retry flight-delay-12
      headgate retry flight-delay/production
      headgate retry flight-delay/production --version 3 --reason "the feature store was down"
    """

    async def run(store: Store, here: Reach) -> None:
        found = await _run(store, what)
        if found is None:
            if number is not None:
                pipeline = what.partition("/")[0]
                await known(store, "model", f"{pipeline}/{number}", ModelVersion, "model version")
            objection = partial(_nothing_stopped, number=number)
            verb = Retry(by=who(), reason=reason, version=number)
            await steer(store, here, what, verb, objection, wait=not no_wait)
            return
        if number is not None:
            raise click.UsageError("--version is for a place; a run has none yet.")
        why = reason or f"{found.id} is tried again by {who()}"
        before = await known(store, "pipeline", found.pipeline, PipelineState, "pipeline")
        wait = not no_wait
        await request(store, here, before, "retry", found.branch, why, force=True, wait=wait)

    with_store(ctx, run)


@click.command(short_help="Stop a run or a rollout.")
@what_argument
@reason_option
@no_wait_option
@click.pass_context
def abort(ctx: click.Context, what: str, reason: str | None, no_wait: bool) -> None:
    """Stop a run with all its steps, or the rollout in progress. It stays stopped.

    \b
    Example:
      headgate abort flight-delay-12
      headgate abort flight-delay
    """

    async def run(store: Store, here: Reach) -> None:
        found = await _run(store, what)
        if found is None:
            verb = Abort(by=who(), reason=reason)
            await steer(store, here, what, verb, _nothing_goes_on, wait=not no_wait)
            return
        if not found.live:
            raise Failed(f"{found.id} has ended already: it {found.outcome}.")
        why = f"aborted by {who()}" + (f": {reason}" if reason else "")
        key = Key("run", found.id)  # its pipeline may be listing a dataset, or waiting for one
        if await ask(store, here.home, key, CancelRun(by=who(), reason=why), wait=not no_wait):
            click.echo(f"{found.id} is being stopped; `headgate show {found.id}` shows it.")

    with_store(ctx, run)


async def _run(store: Store, what: str) -> Run | None:
    """The run of that name; None for something that can name a place. Raises `Failed`."""
    record = await store.get(Key("run", what))
    if record is not None:
        return parsed(Run, record.body)
    pipeline = what.partition("/")[0]
    if await store.get(Key("pipeline", pipeline)) is None:
        kinds = ("run", "pipeline")
        names = [each.key.name for kind in kinds for each in await store.list(kind)]
        raise no_such("run or pipeline", what, names)
    return None


def _nothing_stopped(env: EnvironmentState, number: int | None = None) -> str | None:
    if env.write is not None or env.unknown is not None:
        return None
    if env.rollout is None and has_ended(env, number):
        return None
    if env.rollout is None and env.job is not None and env.job.open:
        return "its batch command is running; `headgate status` says when it has ended."
    if env.rollout is not None:
        return "a rollout is in progress; `abort` it first."
    if number is not None:
        serves = env.stable is not None and env.stable.version == number
        return f"v{number} is what it serves." if serves else None
    if env.stopped is None and env.quarantine:
        return "name what is to be tried again: --version " + _one_of(env)
    return None if env.stopped else "no rollout was stopped here that could be tried again."


def _one_of(env: EnvironmentState) -> str:
    """The numbers of what is quarantined, the newest first."""
    return " or ".join(str(q.version) for q in reversed(env.quarantine)) + "."


def _nothing_goes_on(env: EnvironmentState) -> str | None:
    return None if env.rollout else "there is no rollout in progress to abort."
