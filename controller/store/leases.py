"""Leases on the shards of the work, for several controllers with one database of PostgreSQL.

A lease has a token, which grows whenever the shard gets another holder. Every commit for an object
locks its lease and compares the token (`fence`), so who lost a lease can save nothing. What is done
outside the database is done only while the lease is known to be valid (`holds`): counted from when
its last renewal was sent, so that a process that was paused finds it has expired. When a lease
expires is by the clock of the database's server, however wrong those of the controllers are.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import version
from socket import gethostname
from typing import Any, NamedTuple, NoReturn, Self
from uuid import uuid4

import psycopg
import structlog

from controller.machine.core import Key
from controller.store import postgres_connection as server
from controller.store.addresses import PostgresAddress
from controller.store.migrations import HEAD, NewerSchema
from controller.store.postgres_connection import Connection
from controller.store.postgres_faults import explained, newer
from controller.store.protocol import LostLease
from controller.store.shards import LEADING, SHARDS, LeaseToken, shard_of, shares
from specs.failures import Failure

log = structlog.get_logger("headgate.leases")


class LeaseTerms(NamedTuple):
    """How long leases last. In seconds."""

    every: float = 3.0
    """Between two renewals."""
    lasts: float = 10.0
    """From a renewal until somebody else may take the lease."""
    margin: float = 1.0
    """The holder takes its lease for expired so much earlier."""


class LeaseReport(NamedTuple):
    """What one exchange with the database found."""

    held: Mapping[int, int]
    """The tokens of the shards that are held, by shard."""
    wanted: frozenset[int]
    """The shards of a fair share."""


def since_boot() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_NOW = "extract(epoch FROM clock_timestamp())"
_SEEN = f"""
INSERT INTO controllers (id, seen, version) VALUES (%s, {_NOW}, %s)
ON CONFLICT (id) DO UPDATE SET seen = excluded.seen"""  # noqa: S608 - our own words
_FORGET_OLD = f"DELETE FROM controllers WHERE seen < {_NOW} - 86400"  # noqa: S608
_LIVE = f"SELECT id FROM controllers WHERE seen > {_NOW} - %s"  # noqa: S608
_MAKE = """
INSERT INTO leases (shard, holder, token, expires)
SELECT shard, '', 0, 0 FROM generate_series(0, %s) AS shard ON CONFLICT DO NOTHING"""
_GIVE_UP = "UPDATE leases SET holder = '', expires = 0 WHERE holder = %s AND shard = ANY(%s)"
_RENEW = f"""
UPDATE leases SET expires = {_NOW} + %s WHERE holder = %s RETURNING shard, token"""  # noqa: S608
# Tokens are times, so that they grow also in another database, or in one that was restored.
# Locked for a change of the token, which waits for the commits that rely on it; a renewal does not.
_TAKE = f"""
WITH free AS (
  SELECT shard FROM leases WHERE shard = ANY(%s) AND expires < {_NOW} ORDER BY shard FOR UPDATE
)
UPDATE leases
SET holder = %s, token = greatest(token + 1, ({_NOW} * 1000)::bigint), expires = {_NOW} + %s
FROM free
WHERE leases.shard = free.shard RETURNING leases.shard, leases.token"""  # noqa: S608


class Leases:
    """The leases of one controller: `await Leases.open(address)`, then `keep` them.

    For the event loop's thread, but for `fence`.
    """

    def __init__(
        self,
        address: PostgresAddress,
        terms: LeaseTerms = LeaseTerms(),  # noqa: B008 - a constant value
        clock: Callable[[], float] = since_boot,
    ) -> None:
        self.name = f"{gethostname()[:30]}-{uuid4().hex[:8]}"
        """What this controller is called in the database: the machine's name, or the pod's, and a
        number of its own."""
        self.takeovers = 0
        """How many shards were taken, in all."""
        self._address = address
        self._terms = terms
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="leases")
        self._connection: Connection | None = None
        self._held: Mapping[int, int] = {}
        self._leaving: frozenset[int] = frozenset()
        self._valid_until = 0.0
        self._working: Counter[int] = Counter()

    @classmethod
    async def open(
        cls,
        address: PostgresAddress,
        terms: LeaseTerms = LeaseTerms(),  # noqa: B008 - a constant value
    ) -> Self:
        """Connect to a database of this version's schema. It holds nothing yet."""
        leases = cls(address, terms)
        try:
            await leases._run(leases._make)
        except BaseException:
            leases._thread.shutdown()
            raise
        return leases

    @property
    def held(self) -> Collection[int]:
        """The shards that are held now."""
        return self._held.keys() if self._valid else ()

    @property
    def leads(self) -> bool:
        """Whether this controller does what is to be done once."""
        return LEADING in self.held

    def holds(self, key: Key) -> bool:
        """Whether effects for this object may be made, just now."""
        return shard_of(key) in self.held

    def begins(self, key: Key) -> bool:
        """Whether work on this object may begin: it is held, and not to be given up."""
        return self.holds(key) and shard_of(key) not in self._leaving

    def token(self, key: Key) -> LeaseToken:
        """The lease that work on this object relies on. Raises `LostLease`."""
        ((shard, token),) = self.fence((key,)).items()
        return LeaseToken(shard, token)

    @contextmanager
    def working(self, key: Key) -> Iterator[None]:
        """While something is done for the object, its shard is not given up; and, if it is lost,
        not taken again, so that nothing that began under one token ends under another."""
        shard = shard_of(key)
        self._working[shard] += 1
        try:
            yield
        finally:
            self._working[shard] -= 1

    def fence(self, keys: Iterable[Key]) -> Mapping[int, int]:
        """The tokens by which a commit for these objects is admitted, by shard. Raises `LostLease`.

        Whether they are current the database knows: an expired lease that nobody took will do.
        """
        held = self._held
        try:
            return {shard: held[shard] for shard in sorted({*map(shard_of, keys)})}
        except KeyError as error:
            raise LostLease(f"another controller may have shard {error}") from None

    async def keep(
        self, forget: Callable[[], Awaitable[None]], arrived: Callable[[frozenset[int]], None]
    ) -> NoReturn:
        """Renew, take and give up leases until cancelled.

        `forget` is awaited before a shard counts as held that another may have had; `arrived` is
        called with these when there may be objects that nobody has looked at.
        """
        while True:
            began = self._clock()
            try:
                await self.beat(forget, arrived)
            except Failure as failure:
                log.warning("leases could not be renewed", reason=str(failure))
            await asyncio.sleep(max(0.0, began + self._terms.every - self._clock()))

    async def beat(
        self, forget: Callable[[], Awaitable[None]], arrived: Callable[[frozenset[int]], None]
    ) -> None:
        """Do once what `keep` does. Raises what a store raises."""
        sent = self._clock()
        busy = frozenset(+self._working)
        found = await self._run(self._exchange, self._leaving - busy, busy)
        taken = frozenset(
            shard for shard, token in found.held.items() if self._held.get(shard) != token
        )
        lost = self._held.keys() - found.held.keys() - self._leaving
        if taken:
            await forget()
        leaving = frozenset(found.held.keys() - found.wanted)
        missed = not self._valid or self._leaving & found.held.keys() - leaving
        self._held, self._leaving = found.held, leaving
        self._valid_until = sent + self._terms.lasts - self._terms.margin
        self.takeovers += len(taken)
        if taken or lost:
            log.info("leases have changed", taken=len(taken), lost=len(lost), held=len(self._held))
        if taken or missed:
            arrived(taken)

    async def close(self) -> None:
        """Give up what is held and not being worked on, so that another need not wait."""
        self._valid_until = 0.0
        mine = [shard for shard in self._held if not self._working[shard]]
        try:
            with suppress(Failure):
                await self._run(self._leave, mine)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        finally:
            self._thread.shutdown()

    @property
    def _valid(self) -> bool:
        return self._clock() < self._valid_until

    async def _run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._explaining, call, arguments)

    # Below, everything runs in a thread of its own, which waits for nobody's commits.

    def _explaining(self, call: Callable[..., Any], arguments: Iterable[Any]) -> Any:
        try:
            if self._connection is None:
                # Who waits longer than a lease lasts has lost it.
                self._connection = server.connect(
                    self._address, self._terms.lasts / 2, f"headgate-leases {self.name}"
                )
                server.hold_to_schema(self._connection, self._address)
            return call(self._connection, *arguments)
        except psycopg.Error as error:
            self._disconnect()
            raise explained(error, self._address) from error
        except NewerSchema as error:
            self._disconnect()
            raise newer(str(error), HEAD, self._address) from error
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _make(self, connection: Connection) -> None:
        connection.execute(_MAKE, (SHARDS - 1,))

    def _exchange(
        self, connection: Connection, given: Collection[int], busy: Collection[int]
    ) -> LeaseReport:
        lasts = self._terms.lasts
        with server.transaction(connection):
            ask = connection.execute
            ask(_SEEN, (self.name, version("headgate")))
            if given:
                ask(_GIVE_UP, (self.name, [*given]))
            held: dict[int, int] = dict(ask(_RENEW, (lasts, self.name)).fetchall())
            live = [name for (name,) in ask(_LIVE, (lasts,)).fetchall()]
            wanted = frozenset(shard for shard, name in shares(live).items() if name == self.name)
            free = [*(wanted - held.keys() - frozenset(busy))]
            if free:
                held |= dict(ask(_TAKE, (free, self.name, lasts)).fetchall())
            ask(_FORGET_OLD)
        return LeaseReport(held, wanted)

    def _leave(self, connection: Connection, mine: Collection[int]) -> None:
        with server.transaction(connection):
            connection.execute(_GIVE_UP, (self.name, [*mine]))
            connection.execute("DELETE FROM controllers WHERE id = %s", (self.name,))
