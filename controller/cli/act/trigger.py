"""`headgate trigger`."""

from typing import Literal

import click

from controller.cli.act.acting import with_store
from controller.cli.act.mail import ask, no_wait_option, who
from controller.cli.reach import Reach, known, no_such
from controller.machine.core import Key
from controller.machine.messages import RunRequested
from controller.machine.pipelines.pipeline import PipelineState
from controller.store.protocol import Store


@click.command(short_help="Ask for a run.")
@click.argument("pipeline")
@click.option("--branch", metavar="NAME", help="The branch; without it, the default one.")
@click.option("--force", is_flag=True, help="Run even if nothing changed since the last run.")
@click.option("--no-cache", is_flag=True, help="Run everything anew, whatever the cache has.")
@click.option("--reason", metavar="TEXT", help="Why; shown wherever the run is.")
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
    """Ask for a run of PIPELINE at the head of a branch.

    If nothing at all changed there is no run, unless it is forced. A run takes from the cache what
    ran before, a forced one too; with --no-cache it runs everything anew.

    \b
    Example:
      headgate trigger flight-delay --reason "after the schema change"
    """
    why = reason or f"asked for by {who()}"

    async def run(store: Store, here: Reach) -> None:
        before = await known(store, "pipeline", pipeline, PipelineState, "pipeline")
        wait = not no_wait
        await request(
            store, here, before, "manual", branch, why, force=force, fresh=no_cache, wait=wait
        )

    with_store(ctx, run)


async def request(
    store: Store,
    here: Reach,
    before: PipelineState,
    kind: Literal["manual", "retry"],
    branch: str | None,
    why: str,
    *,
    force: bool,
    wait: bool,
    fresh: bool = False,
) -> None:
    """Ask a pipeline for a run, and say what came of it."""
    target = branch or before.default_branch
    if target not in before.heads:
        raise no_such("watched branch", target, list(before.heads))
    key = Key("pipeline", before.name)
    message = RunRequested(kind=kind, why=why, by=who(), branch=target, force=force, fresh=fresh)
    if not await ask(store, here.home, key, message, wait=wait):
        return
    after = await known(store, "pipeline", before.name, PipelineState, "pipeline")
    click.echo(outcome(before, after, target))


def outcome(before: PipelineState, after: PipelineState, branch: str) -> str:
    """What became of a run that was asked for."""
    last, active = after.last.get(branch), after.active.get(branch)
    if last and (branch not in before.last or last.run != before.last[branch].run):
        return f"{last.run} runs; `headgate show {last.run}` shows it."
    if branch in after.wanted:
        return f"A run is asked for; it waits for {active or after.waits_for or 'its turn'}."
    same = f" since {last.run}" if last else ""
    return f"Nothing to run: nothing changed{same}. `--no-cache` runs everything all the same."
