"""`headgate restore`."""

from pathlib import Path

import click

from controller.cli.context import load_context
from controller.cli.failures import Failed
from controller.store import backup
from controller.store.addresses import address_of
from controller.wiring.home_lock import only_one
from specs.failures import NeedsHuman


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
            restored = backup.restore(file.absolute(), at, replace=replace)
        except NeedsHuman as failure:
            hint = " `--replace` replaces what is there." if "not empty" in str(failure) else ""
            raise Failed(f"{failure}{hint}") from None
    click.echo(f"Restored {restored} from {file}.")
