"""Leases on the shards, over a real PostgreSQL: what several controllers hold, and may write."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest

from controller.machine.core import Key
from controller.store.addresses import PostgresAddress
from controller.store.leases import Leases, LeaseTerms, since_boot
from controller.store.migrations import HEAD
from controller.store.postgres import PostgresStore
from controller.store.protocol import Conflict, Hold, LostLease, Transaction
from controller.store.shards import SHARDS, shard_of
from specs.failures import NeedsHuman, TryAgain
from tests.contracts.store import RUN, entry, ids_in_outbox, put, say
from tests.servers.postgresql import Postgresql

pytestmark = pytest.mark.postgresql

LONG = LeaseTerms(every=3, lasts=600, margin=1)
"""No lease of a test expires unless the test says so."""


class SharedController:
    """What a controller has of a database that it shares."""

    def __init__(self, store: PostgresStore, leases: Leases) -> None:
        self.store = store
        self.leases = leases
        self.skipped = 0.0
        """Seconds by which its clock has gone on while it was paused."""
        self.ended = False
        self.arrived: list[frozenset[int]] = []
        leases._clock = self._now

    def _now(self) -> float:
        return since_boot() + self.skipped

    async def beat(self) -> None:
        """Renew, take and give up, once."""
        await self.leases.beat(self.store.forget, self.arrived.append)

    async def close(self) -> None:
        """End as one that was told to."""
        self.ended = True
        await self.leases.close()
        await self.store.close()


Join = Callable[[], Awaitable[SharedController]]


@pytest.fixture
async def join(postgresql_server: Postgresql) -> AsyncIterator[Join]:
    """Has another controller join."""
    address, all_of_them = postgresql_server.state(), []

    async def joined() -> SharedController:
        store = await PostgresStore.open(address, hold=Hold.SHARED)
        leases = await Leases.open(address, LONG)
        store.fence = leases.fence
        all_of_them.append(SharedController(store, leases))
        return all_of_them[-1]

    yield joined
    for each in all_of_them:
        if not each.ended:
            await each.close()


async def expire(controller: SharedController) -> None:
    """As if it had not been heard of for as long as a lease lasts."""
    await controller.store._run(
        controller.store._rows, "UPDATE leases SET expires = 0 RETURNING shard"
    )
    await controller.store._run(
        controller.store._rows,
        "UPDATE controllers SET seen = seen - 601 WHERE id = ? RETURNING id",
        controller.leases.name,
    )


async def test_one_alone_holds_everything(join: Join) -> None:
    one = await join()
    assert not one.leases.holds(RUN)
    await one.beat()
    assert len(one.leases.held) == one.leases.takeovers == SHARDS
    assert one.leases.begins(RUN)
    assert one.leases.leads
    assert one.arrived == [frozenset(range(SHARDS))]
    await one.beat()
    assert len(one.arrived) == 1, "nothing has arrived since"


async def test_the_tables_of_a_newer_version_end_no_controller(join: Join) -> None:
    one = await join()
    await one.beat()
    one.leases._disconnect()
    ask = one.store._rows
    await one.store._run(ask, "UPDATE alembic_version SET version_num = '9999' RETURNING 1")
    with pytest.raises(NeedsHuman, match="newer Headgate"):  # `keep` logs it and tries again
        await one.beat()
    await one.store._run(ask, f"UPDATE alembic_version SET version_num = '{HEAD}' RETURNING 1")
    await one.beat()
    assert len(one.leases.held) == SHARDS


async def test_the_second_gets_half_once_the_first_has_ended_what_it_does(join: Join) -> None:
    one, two = await join(), await join()
    await one.beat()
    await two.beat()
    assert not two.leases.held, "nothing is taken away"
    await one.beat()  # it sees the other
    assert len(one.leases.held) == SHARDS
    (busy, *_) = leaving = [shard for shard in range(SHARDS) if shard in one.leases._leaving]
    assert len(leaving) == SHARDS // 2
    key = next(key for n in range(9999) if shard_of(key := Key("pipeline", f"p{n}")) == busy)
    with one.leases.working(key):
        assert one.leases.holds(key)
        assert not one.leases.begins(key)
        await one.beat()
        await two.beat()
        assert len(two.leases.held) == SHARDS // 2 - 1
        assert one.leases.holds(key)
    await one.beat()
    await two.beat()
    assert two.leases.begins(key)
    assert not {*one.leases.held} & {*two.leases.held}
    assert len(one.leases.held) == len(two.leases.held) == SHARDS // 2


async def test_what_a_dead_controller_held_goes_to_the_others(join: Join) -> None:
    one, two = await join(), await join()
    for each in (one, two, one, two):
        await each.beat()
    await expire(one)
    await two.beat()
    assert len(two.leases.held) == SHARDS


async def test_one_that_ends_gives_everything_up_at_once(join: Join) -> None:
    one, two = await join(), await join()
    for each in (one, two, one, two):
        await each.beat()
    await one.close()
    await two.beat()
    assert len(two.leases.held) == SHARDS


async def test_who_lost_its_lease_can_save_nothing(join: Join) -> None:
    """It was paused, does not know, and believes that its lease is valid."""
    one, two = await join(), await join()
    await one.beat()
    await one.store.commit(Transaction(put=put(1), enqueue=(entry("a"),)), now=1)
    await expire(one)
    await two.beat()
    assert one.leases.holds(RUN)
    writes = [
        Transaction(put=put(2, 1)),
        Transaction(acknowledge=("a",), owners=(RUN,)),
        Transaction(put=put(1, key=Key("run", "flights-2"))),
    ]
    for change in writes:
        with pytest.raises(LostLease):
            await one.store.commit(change, now=2)
    assert await ids_in_outbox(two.store) == ["a"]
    await two.store.commit(Transaction(put=put(3, 1)), now=3)
    record = await two.store.get(RUN)
    assert record is not None
    assert record.body == {"n": 3}


async def test_a_commit_without_any_lease_is_refused_before_it_is_sent(join: Join) -> None:
    one = await join()
    with pytest.raises(LostLease):
        await one.store.commit(Transaction(put=put(1)), now=1)


async def test_a_conflict_under_a_valid_lease_is_no_lost_lease(join: Join) -> None:
    one = await join()
    await one.beat()
    await one.store.commit(Transaction(put=put(1)), now=1)
    with pytest.raises(Conflict) as raised:
        await one.store.commit(Transaction(put=put(1)), now=1)
    assert not isinstance(raised.value, LostLease)


async def test_who_wakes_after_a_pause_holds_nothing_until_it_has_asked(join: Join) -> None:
    one = await join()
    await one.beat()
    one.skipped = LONG.lasts
    assert not one.leases.holds(RUN)
    assert not one.leases.leads
    # Nobody took it: it goes on under the same token, and looks at what it has dropped.
    await one.store.commit(Transaction(put=put(1)), now=1)
    await one.beat()
    assert one.leases.begins(RUN)
    assert one.leases.takeovers == SHARDS
    assert one.arrived[1:] == [frozenset()]


async def test_a_shard_is_not_taken_again_before_what_began_there_has_ended(join: Join) -> None:
    one, two = await join(), await join()
    await one.beat()
    with one.leases.working(RUN):
        await expire(one)
        await two.beat()
        await two.close()
        await one.beat()
        assert len(one.leases.held) == SHARDS - 1
        with pytest.raises(LostLease):
            await one.store.commit(Transaction(put=put(1)), now=1)
    await one.beat()
    await one.store.commit(Transaction(put=put(1)), now=1)


async def test_a_takeover_waits_for_a_commit_that_is_under_way_and_a_renewal_does_not(
    join: Join,
) -> None:
    one, two = await join(), await join()
    await one.beat()
    connection = one.store._server
    with connection.transaction():
        connection.execute("SELECT shard FROM leases FOR KEY SHARE")
        await one.beat()
        await two.store._run(two.store._rows, "UPDATE leases SET expires = 0 RETURNING shard")
        taking = asyncio.create_task(two.beat())
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        async with asyncio.timeout(10):
            while (await two.store._run(two.store._rows, waiting))[0] != (1,):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not two.leases.held
    await taking


async def test_others_are_woken_for_what_is_not_of_the_shards_that_a_commit_relies_on(
    join: Join,
) -> None:
    one = await join()
    command = await PostgresStore.open(one.store.address)
    await one.beat()
    far = next(k for n in range(99) if shard_of(k := Key("pipeline", f"p{n}")) != shard_of(RUN))
    with psycopg.connect(**command.address.parameters, autocommit=True) as listening:  # type: ignore[arg-type]
        listening.execute("LISTEN headgate")
        # Who takes the shard later looks at what is there.
        await one.store.commit(Transaction(put=put(1), send=(say("near"),)), now=1)
        await command.commit(Transaction(send=(say("near", to=far),)), now=1)
        await one.store.commit(Transaction(put=put(2, 1), send=(say("far", to=far),)), now=2)
        said = [each.payload for each in listening.notifies(timeout=30, stop_after=2)]
    assert said == [command._name, one.store._name], "they come in the order of the commits"
    await command.close()


async def test_those_who_share_and_who_would_be_alone_keep_each_other_out(
    join: Join, postgresql_server: Postgresql
) -> None:
    one = await join()
    with pytest.raises(TryAgain, match="`controllers: several`"):
        await PostgresStore.open(one.store.address, hold=Hold.ALONE)
    address: PostgresAddress = postgresql_server.state()
    alone = await PostgresStore.open(address, hold=Hold.ALONE)
    with pytest.raises(TryAgain, match="another controller holds it"):
        await PostgresStore.open(address, hold=Hold.SHARED)
    await alone.close()


async def test_leases_outlive_the_end_of_their_connection(
    join: Join, postgresql_server: Postgresql
) -> None:
    one = await join()
    await one.beat()
    postgresql_server.execute(
        "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE application_name = 'headgate-leases {one.leases.name}'",
    )  # fmt: skip
    with pytest.raises(TryAgain):
        await one.beat()
    assert one.leases.holds(RUN)
    await one.beat()
    assert one.leases.takeovers == SHARDS
