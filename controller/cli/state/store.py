"""`headgate store`."""

import os

import click

from controller.cli.context import load_context, state_of
from controller.cli.failures import Failed
from controller.config.settings_file import load_secrets
from controller.store.addresses import parse_address
from controller.store.copying import copy as copy_state
from controller.wiring.home_lock import only_one


@click.group(short_help="Copy the state to another store.")
def store() -> None:
    """Move the state between a file of SQLite and a database of PostgreSQL.

    \b
    Example:
      headgate store copy 'postgresql://headgate:${DB_PASSWORD}@db.example.org/headgate'
    """


@store.command(short_help="Copy the state to another store.")
@click.argument("to", metavar="TO")
@click.pass_context
def copy(ctx: click.Context, to: str) -> None:
    """Copy the state from the store in the settings to TO, which has to be empty.

    TO is a file, or postgresql://USER:${PASSWORD}@HOST/DATABASE with the names of secrets in it.
    Stop the controller first. All is copied in one transaction, or nothing; it is compared by
    counts and digest before that is committed. The store in the settings stays as it is.

    \b
    Example:
      headgate store copy 'postgresql://headgate:${DB_PASSWORD}@db.example.org/headgate'
      headgate store copy .headgate/state.db
    """
    here = load_context(ctx)
    secrets = load_secrets(here.settings, here.base, os.environ)
    target = parse_address(to, secrets)
    source = state_of(here)
    if target == source:
        raise Failed(f"{target} is the store that the settings name.")
    with only_one(here.home):
        copied = copy_state(source, target)
    click.echo(f"Copied {copied} to {target}.")
    own = here.home / "state.db"
    if target == own:
        click.echo("Delete `store` from the settings to use it.")
    elif here.settings.store != to:
        click.echo(f"Set `store: {to}` in the settings to use it.")
