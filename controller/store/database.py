"""What the stores of all databases have in common: a thread that makes every call, what is
remembered, and the order of a commit."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Self, TypeVar

from controller.machine.core import Key
from controller.store import pruning, rows, statements
from controller.store.protocol import Changes, OutboxEntry, StoredObject, Transaction
from controller.store.pruning import Pruned
from controller.store.reading import SqlReader
from controller.store.remembered import Remembered
from controller.store.repository_renaming import rename
from controller.store.session import StoreSession
from specs.failures import Failure

T = TypeVar("T")


class DatabaseStore(SqlReader):
    """A `Store` over one connection.

    One thread of its own makes every call, in the order in which they were made. The methods whose
    names begin with an underscore run there; a database implements those that are abstract.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._remembered = Remembered()
        self.calls = 0
        """How often its thread was asked, for those who measure."""
        self.unsaved: Failure | None = None
        """Why the latest commit was not saved; None if it was."""

    async def _opened(self) -> Self:
        """Connect, or end the thread again."""
        try:
            await self._run(self._connect)
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    async def close(self) -> None:
        """Finish what was begun and let go of the database."""
        try:
            # Not as other calls, which would connect first.
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        finally:
            self._thread.shutdown()

    async def load(self, key: Key) -> StoredObject:
        """The object, its inbox and its outbox. What is remembered is not read again; a commit of
        another process since then counts once it was heard of."""
        known = self._remembered.get(key)
        return await self._run(self._load, key) if known is None else known

    async def commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        """Save all of `change` or nothing; see `Store`."""
        return await self._save(self._commit, change, now)

    async def touch(self) -> None:
        """Write what is written already: whether anything can be saved. Raises as `commit`."""
        await self._save(self._touch)

    async def latest(self) -> float:
        """When an object was saved last, in seconds since the epoch; 0 if none ever was."""
        return await self._run(self._latest)

    @abstractmethod
    async def changed(self) -> Changes:
        """See `StoreReader`."""

    @abstractmethod
    async def hear(self, within: float) -> Changes:
        """See `Store`."""

    async def prune(self, kind: str, before: float, spared: Collection[str] = ()) -> int:
        """Delete facts and resting objects of a kind that changed last before that time, and whose
        names are not `spared`; how many. The last run of each pipeline and the graphs of runs stay.
        """
        return await self._each_batch(
            lambda session, last: pruning.prune(session, kind, before, spared, last)
        )

    async def prune_messages(self, consumed: float, set_aside: float) -> int:
        """Forget messages consumed or set aside before these times; how many they were.

        With a message goes the memory that its id was delivered: keep them for as long as a
        sender may repeat itself.
        """
        return await self._each_batch(
            lambda session, _: pruning.prune_messages(session, consumed, set_aside)
        )

    async def rename_repository(self, old: str, new: str) -> None:
        """Call a repository otherwise in all that is stored. For a controller before its loop."""
        await self._save(self._rename, old, new)

    async def _each_batch(self, prune: Callable[[StoreSession, Pruned], Pruned]) -> int:
        """Repeat until it is done; what others ask of the store meanwhile comes in between."""
        deleted, batch = 0, Pruned()
        while not batch.done:
            batch = await self._run(self._prune, prune, batch)
            deleted += batch.deleted
        return deleted

    async def _select(self, query: str, *values: Any) -> Sequence[rows.Row]:
        return await self._run(self._rows, query, *values)

    async def _save(self, call: Callable[..., T], *arguments: Any) -> T:
        try:
            saved = await self._run(call, *arguments)
        except Failure as failure:
            self.unsaved = failure
            raise
        self.unsaved = None
        return saved

    async def _run(self, call: Callable[..., T], *arguments: Any) -> T:
        self.calls += 1
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._explaining, call, arguments
        )

    # Below, everything runs in the store's own thread.

    @abstractmethod
    def _explaining(self, call: Callable[..., T], arguments: Sequence[Any]) -> T:
        """Call, and raise an error of the driver as the failure that it is."""

    @abstractmethod
    def _connect(self) -> None:
        """Connect, and bring the schema to this version or hold it to that."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Let go of the database."""

    @abstractmethod
    def _writing(self, *, forced: bool) -> AbstractContextManager[StoreSession]:
        """One transaction, on the disk when it ends, or some time later if it need not be."""

    @abstractmethod
    def _rows(self, query: str, *values: Any) -> Sequence[rows.Row]:
        """All that a query finds."""

    @abstractmethod
    def _look(self, key: Key) -> Sequence[Sequence[rows.Row]]:
        """The rows of an object, of its inbox and of its outbox, as of one moment."""

    @abstractmethod
    def _written(self, change: Transaction, now: float) -> Sequence[rows.Row]:
        """Write a transaction; the outbox of what was put. Raises `Conflict`."""

    @abstractmethod
    def _touch(self) -> None: ...

    def _latest(self) -> float:
        newest, kind = 0.0, ""
        # Kind by kind, each at the end of its part of an index.
        while (kind := self._rows(statements.NEXT_KIND, kind)[0][0]) is not None:
            ((found,),) = self._rows(statements.NEWEST, kind)
            newest = max(newest, found)
        return newest

    def _load(self, key: Key) -> StoredObject:
        record, messages, outbox = self._look(key)
        found = StoredObject(
            record=rows.record(record[0]) if record else None,
            inbox=tuple(map(rows.delivered, messages)),
            outbox=tuple(map(rows.outbox_entry, outbox)),
        )
        self._remembered.loaded(key, found)
        return found

    def _commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        try:
            outbox = rows.outbox_after(self._written(change, now), change.enqueue)
        except BaseException:
            self._remembered.forget()  # of the object that was put, somebody else knew more
            raise
        self._remembered.committed(change, outbox, now)
        return outbox

    def _rename(self, old: str, new: str) -> None:
        with self._writing(forced=True) as session:
            rename(session, old, new)
        self._remembered.forget()

    def _prune(self, prune: Callable[[StoreSession, Pruned], Pruned], last: Pruned) -> Pruned:
        with self._writing(forced=False) as session:
            return prune(session, last)


def is_outcome(change: Transaction) -> bool:
    """Whether it only says how actions ended: if that is lost, they are applied twice."""
    return change.put is None and bool(change.acknowledge or change.postpone)
