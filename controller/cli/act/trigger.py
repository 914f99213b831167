"""`headgate trigger`."""

from typing import Literal

import click

from controller.cli.act.sending import no_wait_option, send_and_wait, user_name, with_store
from controller.cli.context import CliContext, not_found, require
from controller.machine.core import Key
from controller.machine.messages import RunRequested
from controller.machine.pipelines.pipeline import PipelineState
from controller.store.protocol import Store


@click.command(short_help="Request a run.")
@click.argument("pipeline")
@click.option("--branch", metavar="NAME", help="The branch to run; by default the default branch.")
@click.option("--force", is_flag=True, help="Run even if nothing changed since the last run.")
@click.option("--no-cache", is_flag=True, help="Run every step, without the cache.")
@click.option("--reason", metavar="TEXT", help="Why; shown with the run.")
@no_wait_option
@click.pass_context
def trigger(
    ctx: click.Context,
    pipeline: str,
    branch: str | None,
    force: bool,
    no_cache: bool,
    reason: str | None,
    no_wait: bool,
) -> None:
    """Request a run of PIPELINE at the head of a branch.

    If nothing changed since the last run, there is none unless --force is given. Steps that ran
    before come from the cache, even with --force; --no-cache runs them all again.

    \b
    Example:
      headgate trigger flight-delay --reason "after the schema change"
    """
    why = reason or f"requested by {user_name()}"

    async def run(store: Store, here: CliContext) -> None:
        before = await require(store, "pipeline", pipeline, PipelineState, "pipeline")
        wait = not no_wait
        await request(
            store, here, before, "manual", branch, why, force=force, fresh=no_cache, wait=wait
        )

    with_store(ctx, run)


async def request(
    store: Store,
    here: CliContext,
    before: PipelineState,
    kind: Literal["manual", "retry"],
    branch: str | None,
    why: str,
    *,
    force: bool,
    wait: bool,
    fresh: bool = False,
) -> None:
    """Request a run of a pipeline, and print what happened."""
    target = branch or before.default_branch
    if target not in before.heads:
        raise not_found("watched branch", target, list(before.heads))
    key = Key("pipeline", before.name)
    message = RunRequested(
        kind=kind, why=why, by=user_name(), branch=target, force=force, fresh=fresh
    )
    if not await send_and_wait(store, here.home, key, message, wait=wait):
        return
    after = await require(store, "pipeline", before.name, PipelineState, "pipeline")
    click.echo(outcome(before, after, target))


def outcome(before: PipelineState, after: PipelineState, branch: str) -> str:
    """What happened to a requested run."""
    last, active = after.last.get(branch), after.active.get(branch)
    if last and (branch not in before.last or last.run != before.last[branch].run):
        return f"{last.run} has started; see `headgate show {last.run}`."
    if branch in after.wanted:
        return f"The run is waiting for {active or after.waits_for or 'the controller'}."
    same = f" since {last.run}" if last else ""
    return f"Nothing to run: nothing changed{same}. `--no-cache` runs everything again."
