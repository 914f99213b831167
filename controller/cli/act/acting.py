"""What commands that change something share: the store that they leave their messages in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from controller.cli.failures import Unreachable
from controller.cli.reach import Reach, reach, state_in
from controller.store.protocol import Store
from controller.store.sqlite import SqliteStore
from specs.failures import Failure

T = TypeVar("T")


def with_store(ctx: click.Context, act: Callable[[Store, Reach], Awaitable[T]]) -> T:
    """What `act` does with the store. Raises `Unreachable` where there is none."""
    here = reach(ctx)

    async def run() -> T:
        try:
            store = await SqliteStore.open(state_in(here.home))
        except Failure as failure:
            raise Unreachable(str(failure)) from None
        try:
            return await act(store, here)
        finally:
            await store.close()

    return asyncio.run(run())
