"""`headgate up`."""

import asyncio
import logging
import os
import signal

import click
import structlog

from controller.blobs.last_use import UMASK
from controller.cli.context import CliContext, load_context
from controller.config.logs import set_up
from controller.config.secrets import Secrets
from controller.config.settings_file import exposed, load_secrets
from controller.wiring import service
from deployers.confinement import FIX, confinement

_CHATTY = ("alembic", "apscheduler", "botocore", "github3", "httpx", "httpx2")
"""Libraries that log every migration, job, call and request."""

log = structlog.get_logger("headgate")


@click.command(short_help="Run the controller.")
@click.pass_context
def up(ctx: click.Context) -> None:
    """Run the controller in the foreground until SIGINT or SIGTERM.

    Steps and model servers keep running when it ends; it finds them again when it starts.

    \b
    Example:
      headgate up
    """
    os.umask(UMASK)
    here = load_context(ctx)
    secrets = load_secrets(here.settings, here.base, os.environ)
    logs = here.settings.log
    set_up(logs.format, secrets.values, logs.level.upper())
    for library in _CHATTY:
        logging.getLogger(library).setLevel(logging.WARNING)
    if here.settings.secrets and exposed(here.base / here.settings.secrets):
        click.echo(f"Warning: others can read {here.settings.secrets}; `chmod 600` it.", err=True)
    confined = confinement((), here.settings.run_as)
    if not confined.works:
        click.echo(f"Warning: {confined.lacking}; {FIX}.", err=True)
    asyncio.run(_serve(here, secrets))


async def _serve(here: CliContext, secrets: Secrets) -> None:
    """Run until a signal arrives, which is a normal end."""
    serving = asyncio.create_task(service.serve(here.settings, here.base, secrets))
    asked_to_end = False

    def end() -> None:
        nonlocal asked_to_end
        asked_to_end = True
        serving.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        await serving
    except asyncio.CancelledError:
        if not asked_to_end:
            raise
        log.info("the controller has ended; model servers keep running, `headgate down` stops them")
