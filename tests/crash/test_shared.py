"""Several controllers: killed, paused and replaced, nothing is lost, and none writes that may not.

The toys' children are of several shards, so parents and children live on several controllers.
"""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import pytest

from controller.machine.core import Key
from controller.store.addresses import PostgresAddress
from controller.store.postgres import PostgresStore
from controller.store.shards import SHARDS
from tests.controller.reconcile.toys import STAGES, Begin, tell, until
from tests.crash.shared import TERMS, SharedProcess
from tests.servers.postgresql import Postgresql

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(300)]

CHILDREN = 12


class Office:
    """The database that they share, and what they have done."""

    def __init__(self, store: PostgresStore, address: PostgresAddress, folder: Path) -> None:
        self.store = store
        self.effects = folder / "effects"
        self.effects.mkdir()
        self.staff: list[SharedProcess] = []
        self._address = address
        self._names = count(1)

    def hire(self, ahead: float = 0.0) -> SharedProcess:
        """Another controller, whose clock is that many seconds ahead."""
        name = f"controller-{next(self._names)}"
        self.staff.append(SharedProcess(self.effects, self._address, name, ahead))
        return self.staff[-1]

    async def settled(self, controllers: int) -> None:
        """Wait until so many controllers have a fair share each."""

        async def fair() -> bool:
            found = await self.store._run(
                self.store._rows, "SELECT count(*) FROM leases WHERE holder != '' GROUP BY holder"
            )
            shares = sorted(number for (number,) in found)
            most = -(-SHARDS // controllers)
            return len(shares) == controllers and sum(shares) == SHARDS and shares[-1] <= most

        await until(fair, "the shards are divided", within=60)

    async def longest_lease(self) -> float:
        """Seconds until the last of all leases can be taken, by the server's clock."""
        ask = "SELECT max(expires) - extract(epoch FROM clock_timestamp()) FROM leases"
        ((found,),) = await self.store._run(self.store._rows, ask)
        return float(found)

    async def family(self, name: str) -> None:
        """Ask for a family and wait until it is complete."""
        await self.begin(name)
        await self.complete(name)

    async def begin(self, name: str) -> None:
        """Ask for a family."""
        await tell(self.store, Key("parent", name), Begin(children=CHILDREN), name)

    async def complete(self, *names: str) -> None:
        """Wait until nothing is left to do and families are complete."""

        async def done() -> bool:
            found = await self.store.get_all("family", names)
            left = await self.store.outbox() or await self.store.inbox()
            return len(found) == len(names) and not left

        await until(done, f"the families {names}", within=60)
        for name in names:
            made = sorted(each.name for each in self.effects.glob(f"{name}-*"))
            assert made == sorted(f"{name}-{n}-{s}" for n in range(CHILDREN) for s in STAGES)

    def made_by(self, name: str = "") -> dict[str, list[str]]:
        """Who made each effect of a family, as often as it was made."""
        effects = self.effects.glob(f"{name}*")
        return {effect.name: effect.read_text().split() for effect in effects}


@pytest.fixture
async def office(postgresql_server: Postgresql, tmp_path: Path) -> AsyncIterator[Office]:
    """One without any controller yet."""
    address = postgresql_server.state()
    store = await PostgresStore.open(address)
    opened = Office(store, address, tmp_path)
    yield opened
    for each in opened.staff:
        each.close()
    await store.close()


async def test_three_share_the_work_and_do_everything_once(office: Office) -> None:
    for _ in range(3):
        office.hire()
    await office.settled(3)
    await office.family("smith")
    makers = office.made_by()
    assert all(len(each) == 1 for each in makers.values()), makers
    assert len({maker for each in makers.values() for maker in each}) == 3


@pytest.mark.parametrize("others", [1, 2])
async def test_what_a_killed_one_had_begun_is_ended_by_the_others(
    office: Office, others: int
) -> None:
    killed, *_ = [office.hire() for _ in range(others + 1)]
    await office.settled(others + 1)
    await office.begin("smith")
    killed.send(SIGKILL)
    assert await killed.ends() == -SIGKILL
    await office.begin("jones")
    await office.complete("smith", "jones")
    await office.settled(others)
    twice = {name: each for name, each in office.made_by().items() if len(each) > 1}
    # Only what was under way as it was killed may be made twice, and that is one per worker.
    assert len(twice) <= 8
    assert all(each[0] == killed.name and len(each) == 2 for each in twice.values()), twice


async def test_one_that_is_paused_and_woken_makes_nothing_that_is_no_longer_its_own(
    office: Office,
) -> None:
    paused, _ = office.hire(), office.hire()
    await office.settled(2)
    await office.begin("smith")
    paused.send(SIGSTOP)
    await office.complete("smith")
    await office.family("jones")
    before = office.made_by()
    paused.send(SIGCONT)
    await office.settled(2)
    assert office.made_by() == before, "it woke with work in hand and left it alone"
    await office.family("brown")
    assert paused.name in {maker for each in office.made_by("brown").values() for maker in each}
    assert all(len(each) == 1 for each in office.made_by("brown").values())


async def test_clocks_that_are_twenty_minutes_apart_make_no_lease_longer(
    office: Office,
) -> None:
    fast, slow = office.hire(ahead=600.0), office.hire(ahead=-600.0)
    await office.settled(2)
    await office.family("smith")
    assert await office.longest_lease() <= TERMS.lasts, "as with true clocks"
    makers = office.made_by()
    assert all(len(each) == 1 for each in makers.values()), makers
    assert {maker for each in makers.values() for maker in each} == {fast.name, slow.name}
    for killed, ahead in ((fast, 600.0), (slow, -600.0)):  # the other one takes over
        killed.send(SIGKILL)
        assert await killed.ends() == -SIGKILL
        await office.family(f"after-{killed.name}")
        office.hire(ahead)
        await office.settled(2)
    later = office.made_by("after")
    assert all(len(each) == 1 for each in later.values()), later


async def test_a_rolling_restart_loses_and_doubles_nothing(office: Office) -> None:
    old = [office.hire(), office.hire()]
    await office.settled(2)
    names: list[str] = []
    for each in old:
        names.append(f"during-{each.name}")
        await office.begin(names[-1])
        office.hire()
        each.send(SIGTERM)
        assert await each.ends() == 0
        await office.settled(2)
    await office.complete(*names)
    assert all(len(each) == 1 for each in office.made_by().values())
