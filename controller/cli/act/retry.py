"""`headgate retry` and `headgate abort`: for a run, or for a rollout."""

from functools import partial

import click

from controller.cli.act.sending import no_wait_option, send_and_wait, user_name, with_store
from controller.cli.act.steer import reason_option, steer
from controller.cli.act.trigger import request
from controller.cli.context import CliContext, missing, require
from controller.cli.failures import Failed
from controller.machine.core import Key, parsed
from controller.machine.environments.batch import can_run_again
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import Abort, CancelRun, Retry
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.run import Run
from controller.store.protocol import Store

what_argument = click.argument("what", metavar="RUN|PIPELINE[/ENVIRONMENT]")


@click.command(short_help="Retry a run or a rollout.")
@what_argument
@click.option(
    "--version",
    "number",
    metavar="N",
    type=click.IntRange(1),
    help="The version to retry.",
)
@reason_option
@no_wait_option
@click.pass_context
def retry(
    ctx: click.Context, what: str, number: int | None, reason: str | None, no_wait: bool
) -> None:
    """Retry RUN with a new run at the head of its branch, or the last rollout in an environment
    that was stopped or rolled back. The command of a batch release is run again.

    Steps that succeeded come from the cache. Retrying a version lifts its quarantine, and the
    environments branch records who did so and why; in production it has to pass a canary again.

    \b
    Example:
      headgate retry flight-delay-12
      headgate retry flight-delay/production
      headgate retry flight-delay/production --version 3 --reason "the feature store was down"
    """

    async def run(store: Store, here: CliContext) -> None:
        found = await _run(store, what)
        if found is None:
            if number is not None:
                pipeline = what.partition("/")[0]
                await require(store, "model", f"{pipeline}/{number}", ModelVersion, "model version")
            objection = partial(_no_retry, number=number)
            verb = Retry(by=user_name(), reason=reason, version=number)
            await steer(store, here, what, verb, objection, wait=not no_wait)
            return
        if number is not None:
            raise click.UsageError("--version applies only to PIPELINE/ENVIRONMENT.")
        why = reason or f"{found.id} is retried by {user_name()}"
        before = await require(store, "pipeline", found.pipeline, PipelineState, "pipeline")
        wait = not no_wait
        await request(store, here, before, "retry", found.branch, why, force=True, wait=wait)

    with_store(ctx, run)


@click.command(short_help="Stop a run or a rollout.")
@what_argument
@reason_option
@no_wait_option
@click.pass_context
def abort(ctx: click.Context, what: str, reason: str | None, no_wait: bool) -> None:
    """Stop a run with all its steps, or the rollout in progress. It is not started again.

    \b
    Example:
      headgate abort flight-delay-12
      headgate abort flight-delay
    """

    async def run(store: Store, here: CliContext) -> None:
        found = await _run(store, what)
        if found is None:
            verb = Abort(by=user_name(), reason=reason)
            await steer(store, here, what, verb, _no_abort, wait=not no_wait)
            return
        if not found.live:
            raise Failed(f"{found.id} has already ended ({found.outcome}).")
        why = f"aborted by {user_name()}" + (f": {reason}" if reason else "")
        key = Key("run", found.id)  # not the pipeline, which may be busy with a dataset
        cancel = CancelRun(by=user_name(), reason=why)
        if await send_and_wait(store, here.home, key, cancel, wait=not no_wait):
            click.echo(f"{found.id} is being stopped; see `headgate show {found.id}`.")

    with_store(ctx, run)


async def _run(store: Store, what: str) -> Run | None:
    """The run of that name; None if it names a pipeline instead. Raises `Failed` if neither."""
    record = await store.get(Key("run", what))
    if record is not None:
        return parsed(Run, record.body)
    pipeline = what.partition("/")[0]
    if await store.get(Key("pipeline", pipeline)) is None:
        raise await missing(store, "run or pipeline", what, ("run", "pipeline"))
    return None


def _no_retry(env: EnvironmentState, number: int | None = None) -> str | None:
    if env.write is not None or env.unknown is not None:
        return None
    if env.rollout is None and can_run_again(env, number):
        return None
    if env.rollout is None and env.job is not None and env.job.open:
        return "its batch command is still running; see `headgate status`."
    if env.rollout is not None:
        return "a rollout is in progress; stop it first with `headgate abort`."
    if number is not None:
        serves = env.stable is not None and env.stable.version == number
        return f"it already serves v{number}." if serves else None
    if env.stopped is None and env.quarantine:
        return "name the version to retry: --version " + _quarantined(env)
    return None if env.stopped else "there is no stopped rollout to retry."


def _quarantined(env: EnvironmentState) -> str:
    """The quarantined versions, the newest first."""
    return " or ".join(str(q.version) for q in reversed(env.quarantine)) + "."


def _no_abort(env: EnvironmentState) -> str | None:
    return None if env.rollout else "there is no rollout in progress to abort."
