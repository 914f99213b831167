"""`headgate restore`."""

import asyncio
from contextlib import suppress
from pathlib import Path

import click

from controller.cli.context import load_context
from controller.cli.failures import Failed
from controller.store import backup
from controller.store.addresses import Address, address_of
from controller.store.identity import read_identity
from controller.store.opening import open_reader
from controller.wiring.home_lock import only_one
from specs.failures import Failure, NeedsHuman


@click.command(short_help="Restore the state from a file.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--replace", is_flag=True, help="Replace the state that is there.")
@click.pass_context
def restore(ctx: click.Context, file: Path, replace: bool) -> None:
    """Restore the state from FILE, which `headgate backup` wrote.

    Stop the controller first. FILE is compared with its digest; all of it is restored, or nothing.
    What was released since then is known from the environments branch (see docs/recovery.md).

    \b
    Example:
      headgate restore /backups/headgate-2026-03-01.db
    """
    here = load_context(ctx)
    with only_one(here.home):
        try:
            at = address_of(here.settings, here.base)
            before = asyncio.run(_identity(at))
            restored = backup.restore(file.absolute(), at, replace=replace)
        except NeedsHuman as failure:
            hint = " `--replace` replaces what is there." if "not empty" in str(failure) else ""
            raise Failed(f"{failure}{hint}") from None
    click.echo(f"Restored {restored} from {file}.")
    if before is not None and before != asyncio.run(_identity(at)):
        click.echo(
            "The state that was there was another installation's. What that made at `artifacts` "
            "and in the cluster is not this one's; docs/state.md says what to do."
        )


async def _identity(at: Address) -> str | None:
    """The identity of the installation whose state it is; None if that cannot be read."""
    if isinstance(at, Path) and not at.exists():
        return None
    with suppress(Failure):
        store = open_reader(at)
        try:
            return await read_identity(store)
        finally:
            await store.close()
    return None
