"""`headgate backup`."""

from pathlib import Path

import click

from controller.cli.context import load_context, state_of
from controller.store.backup import back_up


@click.command(short_help="Write the state to a file.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_context
def backup(ctx: click.Context, file: Path) -> None:
    """Write the state, as it is at this moment, to FILE.

    The controller may go on. FILE is the same whether the state is in SQLite or in PostgreSQL, so
    `headgate restore` can put it into either. Artifacts and logs are not in it.

    \b
    Example:
      headgate backup /backups/headgate-$(date +%F).db
    """
    saved = back_up(state_of(load_context(ctx)), file.absolute())
    click.echo(f"Saved {saved} to {file}.")
