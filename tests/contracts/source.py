"""What every source owes its user, whatever it watches."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Protocol

from controller.machine.core import Key
from controller.sources.protocol import Source

DEADLINE = 30.0
"""Seconds a hint may take before the test has failed."""


class Scene(Protocol):
    """A source and the world that it watches."""

    @property
    def source(self) -> Source: ...

    @property
    def key(self) -> Key: ...

    async def change(self) -> None:
        """Let something happen that the source must notice."""
        ...

    async def break_down(self) -> None:
        """Take away what the source watches, so that `problem` says so."""
        ...

    async def restore(self) -> None:
        """Give it back."""
        ...


async def hint(keys: AsyncIterator[Key]) -> Key:
    """The next key, in time."""
    async with asyncio.timeout(DEADLINE):
        return await anext(keys)


class SourceContract:
    """Subclass it with a fixture `scene`."""

    async def test_every_change_is_hinted_at(self, scene: Scene) -> None:
        keys = scene.source.keys()
        for _ in range(3):
            await scene.change()
            assert await hint(keys) == scene.key
        await _close(keys)

    async def test_trouble_is_named_and_waited_out(self, scene: Scene) -> None:
        keys = scene.source.keys()
        await scene.change()
        await hint(keys)
        assert not _problem(scene)
        await scene.break_down()
        waiting = asyncio.ensure_future(_hint_without_problem(scene.source, keys))
        async with asyncio.timeout(DEADLINE):
            while not _problem(scene):  # noqa: ASYNC110 - the condition has no event
                await asyncio.sleep(0.01)
        await scene.restore()
        await scene.change()
        async with asyncio.timeout(DEADLINE):
            assert await waiting == scene.key
        await _close(keys)

    async def test_closing_leaves_no_thread_and_no_task(self, scene: Scene) -> None:
        threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
        keys = scene.source.keys()
        await scene.change()
        await hint(keys)
        await _close(keys)
        async with asyncio.timeout(DEADLINE):
            while asyncio.all_tasks() - tasks:  # noqa: ASYNC110 - the condition has no event
                await asyncio.sleep(0.01)
        for thread in set(threading.enumerate()) - threads:
            if not thread.name.startswith("asyncio_"):  # the loop's own pool stays
                # asyncio waits for each git that it started in a thread that ends a moment later
                await asyncio.to_thread(thread.join, DEADLINE)
                assert not thread.is_alive(), f"{thread.name} was left behind"


def _problem(scene: Scene) -> str:
    return scene.source.problem or ""


async def _hint_without_problem(source: Source, keys: AsyncIterator[Key]) -> Key:
    while True:
        key = await anext(keys)
        if source.problem is None:
            return key


async def _close(keys: AsyncIterator[Key]) -> None:
    close = getattr(keys, "aclose", None)
    assert close is not None, "a source's iterator can be closed"
    await close()
