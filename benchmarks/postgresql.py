"""What the state costs in PostgreSQL, against a file of SQLite.

A turn is one of the controller's loop: an object is loaded, decided upon and saved, with an action
that is applied and acknowledged with a message, which is heard in the next turn. The store's part
alone is shown, too, and what a commit takes that compares a lease. CPU time is that of this process
and of the server's; both databases wait for the same disk, as they do by default, so wall time is
the disk's for the most part. The databases take turns, round by round, so that whatever else the
machine does is in all figures. Then a controller begins on 100,000 stored objects.
"""

import asyncio
import os
import pwd
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.common import Row
from controller.machine.core import Envelope, Key, Message
from controller.reconcile.loop import Loop
from controller.store.addresses import Address, PostgresAddress
from controller.store.database import DatabaseStore
from controller.store.opening import open_store, share
from controller.store.postgres import PostgresStore
from controller.store.protocol import Hold, OutboxEntry, Put, Transaction
from controller.wiring.service import last_moment
from tests.controller.reconcile import toys
from tests.controller.reconcile.toys import Work

TURNS = 300
"""How many turns a figure is the mean of."""
ROUNDS = 5
"""How often it is taken; the median counts."""
EVENTS, RATE = 2_000, 100
"""How many messages come from another process, and how many a second of them."""
OBJECTS = 100_000
LIVE = 1_000
"""How many of them are looked at when a controller begins."""
BODY = "x" * 3000
"""About what a run of a few steps has."""
PROGRAMS = Path("/usr/lib/postgresql")
KINDS = ("repository", "pipeline", "run", "environment", "stall")
KEY = Key("run", "turned-1")
Cpu = Callable[[], float]
"""CPU milliseconds that were used by now."""


class Cost(NamedTuple):
    """What one turn takes, or one commit. In milliseconds."""

    cpu: float
    wall: float


Measured = tuple[Callable[[], Awaitable[int]], Cpu]
"""Does something, and tells how often; with what has used the CPU."""


class Said(Message):
    """A message of the benchmark."""

    type: Literal["benchmark_said"] = "benchmark_said"


async def done(owner: Key, action: Work) -> tuple[Envelope, ...]:
    """Apply an action that takes no time."""
    return (Envelope(to=owner, id="done", message=toys.Done(how=action.how)),)


async def of_the_loop(store: DatabaseStore) -> int:
    """Turns of the loop; every worker has two."""
    names = [f"{time.monotonic_ns()}-{n}" for n in range(TURNS)]
    for name in names:
        await toys.tell(store, Key("worker", name), toys.DoWork(how="it"))
    loop = Loop(store, {"worker": toys.toy(toys.Worker, toys.worker)}, {Work: done})
    async with toys.running(loop):
        while loop.counts["acknowledged"] < TURNS or loop.counts["saves"] < 2 * TURNS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # it is asked nothing meanwhile
    return loop.counts["reconciled"]


async def turns(store: DatabaseStore) -> int:
    """What turns ask of the store."""
    for n in range(TURNS):
        look = await store.load(KEY)
        assert look.record is not None
        put = Put(key=KEY, revision=look.record.revision, text=look.record.text, live=True)
        number = look.record.revision
        action = OutboxEntry(id=f"a{number}", owner=KEY, lane="main", action={"type": "do"})
        message = Envelope(to=KEY, id=f"m{number}", message=Said())
        consumed = tuple(each.number for each in look.inbox)
        now = float(n)
        await store.commit(
            Transaction(put=put, enqueue=(action,), send=(message,), consume=consumed), now
        )
        await store.commit(Transaction(acknowledge=(action.id,), owners=(KEY,)), now)
    left = tuple(each.number for each in await store.inbox(KEY))
    await store.commit(Transaction(consume=left, owners=(KEY,)), 0.0)
    return TURNS


async def commits(store: DatabaseStore) -> int:
    """Commits that put an object and wake nobody."""
    look = await store.load(KEY)
    assert look.record is not None
    first = look.record.revision
    for revision in range(first, first + TURNS):
        put = Put(key=KEY, revision=revision, text=look.record.text, live=True)
        await store.commit(Transaction(put=put), float(revision))
    return TURNS


async def costs(measured: Mapping[str, Measured]) -> Mapping[str, Cost]:
    """What each takes once; each has its turn in each round."""
    found: dict[str, list[Cost]] = {name: [] for name in measured}
    for _ in range(ROUNDS):
        for name, (act, cpu) in measured.items():
            used, began = cpu(), time.perf_counter()
            many = await act()
            wall = (time.perf_counter() - began) * 1e3
            found[name].append(Cost((cpu() - used) / many, wall / many))
    return {
        name: Cost(*(statistics.median(values) for values in zip(*each, strict=True)))
        for name, each in found.items()
    }


async def begin(address: Address) -> float:
    """Seconds until a controller has what it asks of its store before it reconciles anything."""
    begun = time.perf_counter()
    store = await open_store(address, hold=Hold.ALONE)
    await last_moment(store)
    await store.changed()
    live = [each for kind in KINDS for each in await store.list(kind, live=True)]
    await store.outbox()
    await store.addressees()
    took = time.perf_counter() - begun
    assert len(live) >= LIVE
    await store.close()
    return took


async def fill(address: Address) -> None:
    """Store the objects."""
    store = await open_store(address)
    for first in range(0, OBJECTS, 2000):
        await store._run(_fill, store, range(first, first + 2000))
    await store.close()


def _fill(store: DatabaseStore, numbers: range) -> None:
    with store._writing(forced=True) as session:
        session.each(
            "INSERT INTO objects (kind, name, revision, body, updated, live) "
            "VALUES (?, ?, 1, ?, ?, ?)",
            (("run", f"push-{n}", BODY, float(n), n < LIVE) for n in numbers),
        )


async def started(address: Address) -> float:
    """Seconds of a start on many objects; the median."""
    await fill(address)
    return statistics.median([await begin(address) for _ in range(ROUNDS)])


async def opened(address: Address, hold: Hold = Hold.ALONE) -> DatabaseStore:
    """A controller's store, with the object of which there are turns."""
    store = await open_store(address, hold=hold)
    await store.changed()
    if await store.get(KEY) is None:
        await store.commit(Transaction(put=Put(key=KEY, revision=0, text=BODY, live=True)), 1.0)
    return store


async def of_turns(file: Path, address: PostgresAddress, cpu: Cpu) -> list[Row]:
    """What turns cost with either database."""
    sqlite, postgresql = await opened(file), await opened(address)

    def row(what: str, found: Mapping[str, Cost], of: str, aim: str = "") -> Row:
        ours, reference = (getattr(found[name], of) for name in ("PostgreSQL", "SQLite"))
        return Row(f"{what}, PostgreSQL", ours, "ms", "SQLite", reference, aim)

    rows = []
    for what, measure in (("a turn", of_the_loop), ("the store's part of it", turns)):
        found = await costs({
            "SQLite": (partial(measure, sqlite), own_cpu),
            "PostgreSQL": (partial(measure, postgresql), cpu),
        })  # fmt: skip
        rows += [row(f"CPU of {what}", found, "cpu", "at most 2" * (measure is of_the_loop))]
        rows += [row(f"wall of {what}", found, "wall")]
    for store in (sqlite, postgresql):
        await store.close()
    return rows


async def of_the_fence(address: PostgresAddress, cpu: Cpu) -> Row:
    """What a commit costs that compares the lease of what it puts."""
    store = await opened(address, Hold.SHARED)
    assert isinstance(store, PostgresStore)
    leases = await share(store)
    await leases.beat(store.forget, lambda _: None)

    async def with_fence() -> int:
        store.fence = leases.fence
        return await commits(store)

    async def without() -> int:
        store.fence = None
        return await commits(store)

    found = await costs({"with": (with_fence, cpu), "without": (without, cpu)})
    await leases.close()
    await store.close()
    return Row("CPU of a commit that compares its lease", found["with"].cpu, "ms",
               "one that does not", found["without"].cpu)  # fmt: skip


async def of_events(address: PostgresAddress) -> list[Row]:
    """How soon a controller takes in what another process sends, a hundred a second; and how many
    it can take in a second."""
    store = await opened(address)
    command = await open_store(address, upgrade=False)
    taken: dict[str, float] = {}

    def count(key: Key, state: toys.Count | None, inbox: Sequence[Message], now: float) -> Any:
        if inbox:
            taken[key.name] = time.perf_counter()
        return toys.counter(key, state, inbox, now)

    async def send(names: Iterable[str]) -> None:
        add = toys.Add(n=1)
        change = tuple(Envelope(to=Key("counter", name), id="add", message=add) for name in names)
        await command.commit(Transaction(send=change), time.time())

    async def all_taken(many: int) -> None:
        while len(taken) < many:  # noqa: ASYNC110 - it is asked nothing meanwhile
            await asyncio.sleep(0.01)

    sent: dict[str, float] = {}
    async with toys.running(Loop(store, {"counter": toys.toy(toys.Count, count)}, {})):
        began = time.perf_counter()
        for n in range(EVENTS):
            await asyncio.sleep(max(0.0, began + n / RATE - time.perf_counter()))
            sent[f"one-{n}"] = time.perf_counter()
            await send([f"one-{n}"])
        await all_taken(EVENTS)
        delays = sorted(taken[name] - at for name, at in sent.items())
        offered = EVENTS / (max(sent.values()) - began)
        taken.clear()
        began = time.perf_counter()
        for first in range(0, EVENTS, 100):
            await send(f"many-{n}" for n in range(first, first + 100))
        await all_taken(EVENTS)
        absorbed = EVENTS / (time.perf_counter() - began)
    await command.close()
    await store.close()
    print(f"{offered:.0f} events a second were sent, one by one; half are taken in within "
          f"{delays[EVENTS // 2] * 1e3:.1f} ms")  # fmt: skip
    late = delays[EVENTS * 99 // 100] * 1e3
    return [
        Row(f"99 of 100 events taken in, of {RATE} a second", late, "ms", "1 s", 1e3, "below 1"),
        Row("events taken in of as many as come", absorbed, "a second", "the aim", float(RATE),
            "at least 1"),
    ]  # fmt: skip


def own_cpu() -> float:
    """CPU milliseconds of this process."""
    return time.process_time() * 1e3


def cpu_with(folder: Path) -> Cpu:
    """CPU milliseconds of this process and of a server."""
    of_server = server_cpu(folder)
    return lambda: own_cpu() + of_server()


def server_cpu(folder: Path) -> Cpu:
    """CPU milliseconds of all processes of a server, also ended ones."""
    parent = int((folder / "postgresql/data/postmaster.pid").read_text().split()[0])
    tick = 1e3 / os.sysconf("SC_CLK_TCK")

    def used(process: int) -> float:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6

    def all_of_them() -> float:
        fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
        ended = tick * (int(fields[13]) + int(fields[14]))
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return ended + sum(used(each) for each in (parent, *map(int, children)))

    return all_of_them


@contextmanager
def server(folder: Path) -> Iterator[PostgresAddress]:
    """A server with its defaults, reached as on the same machine, with an empty database."""
    programs = max(PROGRAMS.glob("*/bin"), key=lambda path: int(path.parent.name))
    own = folder / "postgresql"
    own.mkdir()
    user = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(own, owner.pw_uid, owner.pw_gid)
        folder.chmod(0o755)
        user = {"user": "postgres", "group": "postgres"}

    def run(program: str, *words: str) -> None:
        subprocess.run(
            [programs / program, "-D", own / "data", *words],
            check=True, stdout=subprocess.DEVNULL, cwd=own, **user,  # type: ignore[call-overload]
        )  # fmt: skip

    run("initdb", "-U", "ada", "--auth=trust", "--encoding=UTF8", "--locale=C")
    run("pg_ctl", "-w", "-l", str(own / "log"), "-o", f"-h '' -k {own}", "start")
    try:
        yield PostgresAddress({"host": str(own), "user": "ada", "dbname": "postgres"})
    finally:
        run("pg_ctl", "-w", "-m", "fast", "stop")


def main() -> list[Row]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(folder) as address:
            cpu = cpu_with(folder)
            rows = asyncio.run(of_turns(folder / "state.db", address, cpu))
            rows.append(asyncio.run(of_the_fence(address, cpu)))
            rows += asyncio.run(of_events(address))
            starts = {
                "PostgreSQL": asyncio.run(started(address)),
                "SQLite": asyncio.run(started(folder / "state.db")),
            }
    return rows + [
        Row(f"start on {OBJECTS:,} objects, {name}", took, "s", "a limit", 5.0, "at most 1")
        for name, took in starts.items()
    ]


if __name__ == "__main__":
    from benchmarks.common import table

    print(table(main()))
