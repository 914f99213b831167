"""Asks the controller for something: a message into the store, and a look at what came of it."""

import asyncio
import getpass
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from controller.cli.reach import controller_pid
from controller.machine.core import Envelope, Key, Message
from controller.store.protocol import Store, Transaction

PATIENCE = 5.0
"""Seconds that a command waits for its message to be heeded."""
_LOOK = 0.05

F = Callable[..., Any]


def who() -> str:
    """The person who types, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def no_wait_option(command: F) -> F:
    """`--no-wait`, for every command that asks for something."""
    return click.option(
        "--no-wait", is_flag=True, help="Return at once instead of waiting until it is heeded."
    )(command)


async def send(store: Store, to: Key, message: Message) -> str:
    """Send a message with an id of its own, which is returned."""
    id_ = f"cli/{uuid4()}"
    envelope = Envelope(to=to, id=id_, message=message)
    await store.commit(Transaction(send=(envelope,)), time.time())
    return id_


async def heeded(store: Store, to: Key, id_: str, patience: float = PATIENCE) -> bool:
    """Wait until the controller took the message in; False if it did not in time."""
    deadline = time.monotonic() + patience
    while any(each.id == id_ for each in await store.inbox(to)):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_LOOK)
    return True


async def ask(store: Store, home: Path, to: Key, message: Message, *, wait: bool) -> bool:
    """Send, wait, and say so when nobody heeds it yet; whether it was heeded."""
    pid = controller_pid(home)
    id_ = await send(store, to, message)
    if pid is None:
        click.echo(
            "Noted. No controller runs here now; it is done when one does (`headgate up`).",
            err=True,
        )
        return False
    if not wait:
        click.echo("Noted.", err=True)
        return False
    if await heeded(store, to, id_):
        return True
    click.echo(
        f"Noted. The controller (process {pid}) has not come to it in {PATIENCE:g} s; "
        "`headgate status` shows what it does.",
        err=True,
    )
    return False
