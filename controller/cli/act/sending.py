"""Sends messages to the controller through the store, and waits until they are consumed."""

import asyncio
import getpass
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import click

from controller.cli.context import CliContext, controller_pid, load_context, state_of
from controller.cli.failures import Failed, Unreachable
from controller.machine.core import Envelope, Key, Message
from controller.store.opening import open_store
from controller.store.protocol import Store, Transaction
from specs.failures import Failure
from specs.figures import duration

PATIENCE = 5.0
"""Seconds that a command waits for its message to be consumed."""
_POLL = 0.05

F = Callable[..., Any]
T = TypeVar("T")


def with_store(ctx: click.Context, act: Callable[[Store, CliContext], Awaitable[T]]) -> T:
    """Open the store for `act` and return its result. Raises `Unreachable` if there is none."""
    here = load_context(ctx)

    async def run() -> T:
        try:
            store = await open_store(state_of(here), upgrade=False)
        except Failure as failure:
            raise Unreachable(str(failure)) from None
        try:
            return await act(store, here)
        finally:
            await store.close()

    return asyncio.run(run())


def user_name() -> str:
    """The name of the user who runs the command, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def no_wait_option(command: F) -> F:
    """The option `--no-wait` of every command that sends a message."""
    return click.option(
        "--no-wait", is_flag=True, help="Return at once, without waiting for the controller."
    )(command)


async def send(store: Store, to: Key, message: Message) -> str:
    """Send a message under a new id, which is returned."""
    id_ = f"cli/{uuid4()}"
    envelope = Envelope(to=to, id=id_, message=message)
    await store.commit(Transaction(send=(envelope,)), time.time())
    return id_


async def wait_until_consumed(store: Store, to: Key, id_: str, patience: float = PATIENCE) -> bool:
    """Wait until a message has left the inbox. Returns False if that takes too long."""
    deadline = time.monotonic() + patience
    while any(each.id == id_ for each in await store.inbox(to)):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_POLL)
    return True


async def send_and_wait(store: Store, home: Path, to: Key, message: Message, *, wait: bool) -> bool:
    """Send a message and wait for the controller, unless none runs or the user does not want to.

    Returns whether the message was consumed; if it was not, prints why. Raises `Failed` if it was
    set aside.
    """
    pid = controller_pid(home)
    id_ = await send(store, to, message)
    if pid is None:
        click.echo(
            "Request saved. No controller is running here; the next `headgate up` handles it.",
            err=True,
        )
        return False
    if not wait:
        click.echo("Request saved.", err=True)
        return False
    if not await wait_until_consumed(store, to, id_):
        click.echo(
            f"Request saved. The controller (process {pid}) has not handled it within "
            f"{duration(PATIENCE)}; `headgate status` shows what it is doing.",
            err=True,
        )
        return False
    for delivered in await store.set_aside():
        if (delivered.to, delivered.id) == (to, id_):
            raise Failed(f"the controller could not handle the request: {delivered.reason}")
    return True
