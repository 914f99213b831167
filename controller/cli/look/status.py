"""`headgate status`."""

import asyncio
import time

import click

from controller.cli.context import CliContext, json_option, print_json, with_state
from controller.cli.terminal.printing import console, show
from controller.cli.terminal.snapshot import snapshot
from controller.cli.terminal.tree import render
from controller.cli.terminal.views import StatusSnapshot
from controller.store.protocol import StoreReader


@click.command(short_help="Show what runs where.")
@click.option("-w", "--watch", is_flag=True, help="Keep it up to date until Ctrl-C.")
@json_option
@click.pass_context
def status(ctx: click.Context, watch: bool, as_json: bool) -> None:
    """Show environments, rollouts, runs in progress, and what each is waiting for.

    It reads the state, and works whether or not the controller is running.

    \b
    Example:
      headgate status --watch
    """
    if watch and as_json:
        raise click.UsageError("--watch and --json cannot be combined.")
    if watch:
        with_state(ctx, _watch)
        return
    view = with_state(ctx, _read)
    if as_json:
        print_json(view)
    else:
        show(render(view), controller_line(view))


async def _read(store: StoreReader, here: CliContext) -> StatusSnapshot:
    return await snapshot(store, here.home, [one.name for one in here.settings.repositories])


async def _watch(store: StoreReader, here: CliContext) -> None:
    from rich.console import Group
    from rich.live import Live

    view = await _read(store, here)
    with Live(console=console(), auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            if await store.changed() or time.time() - view.at > 5:
                view = await _read(store, here)
            ticking = view.model_copy(update={"at": time.time()})
            live.update(Group(render(ticking), controller_line(view)), refresh=True)
            await asyncio.sleep(0.5)


def controller_line(view: StatusSnapshot) -> str:
    """A line that says whether a controller is running."""
    if view.controllers:
        names = ", ".join(view.controllers)
        one = len(view.controllers) == 1
        said = "One controller has all the work" if one else "Controllers that share the work"
        return f"[dim]{said}: {names}.[/dim]"
    if view.controller is None:
        return "[yellow]No controller is running here: start one with [bold]headgate up[/bold].[/]"
    return f"[dim]The controller is running (process {view.controller}).[/dim]"
