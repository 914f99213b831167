"""Does together what is due at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

LONGEST_REST = 5.0
"""Seconds that a writer rests at most."""


class _Batch(Generic[T]):
    def __init__(self) -> None:
        self.items: list[T] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Batches(Generic[T]):
    """Hands items to `write`, which is never called twice at a time: what comes while it is under
    way is the next batch. Items keep their order. The first is written at once.

    After each batch the writer rests `rest` times as long as that took, at most `LONGEST_REST`
    seconds; what comes meanwhile is in the next batch, too. So where a batch costs much however
    few items it has, as a push does, a burst of items costs few batches. A batch begins at the
    earliest `apart` seconds after the one before began, however quickly that was written.

    For one event loop. `close` it at the end.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[None]],
        rest: float = 0.0,
        apart: float = 0.0,
    ) -> None:
        self._write = write
        self._rest = rest
        self._apart = apart
        self._next: _Batch[T] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def add(self, item: T) -> None:
        """Returns once the item is written. Raises what `write` raises for its batch. Whoever is
        cancelled while waiting does not take the item back."""
        batch = self._next = self._next or _Batch()
        batch.items.append(item)
        if self._writer is None:
            self._writer = asyncio.create_task(self._run())
        await asyncio.shield(batch.done)

    async def close(self) -> None:
        """Cancel what is being written; nothing else is."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._next is not None:
                batch, self._next = self._next, None
                began = asyncio.get_running_loop().time()
                await self._write_one(batch)
                took = asyncio.get_running_loop().time() - began
                rest = max(min(self._rest * took, LONGEST_REST), self._apart - took)
                if rest > 0:
                    await asyncio.sleep(rest)
        finally:
            self._writer = None
            if self._next is not None:  # it was cancelled
                self._next.done.cancel()
                self._next = None

    async def _write_one(self, batch: _Batch[T]) -> None:
        try:
            await self._write(batch.items)
        except Exception as error:
            batch.done.set_exception(error)
            batch.done.exception()  # everybody who waited may be gone
        else:
            batch.done.set_result(None)
        finally:
            batch.done.cancel()  # has no effect unless it was cancelled
