"""What the state costs in PostgreSQL, against a file of SQLite.

A turn is one of the controller's loop: an object is loaded, decided upon and saved, with an action
that is applied and acknowledged with a message, which is heard in the next turn. The store's part
alone is shown, too. All these are CPU time, of this process and of the server's; both databases
wait for the same disk, as they do by default. Then a controller begins on 100,000 stored objects.
"""

import asyncio
import os
import pwd
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from benchmarks.common import Row
from controller.machine.core import Envelope, Key, Message
from controller.reconcile.loop import Loop
from controller.store.addresses import Address, PostgresAddress
from controller.store.database import DatabaseStore
from controller.store.opening import open_store
from controller.store.protocol import OutboxEntry, Put, Transaction
from controller.wiring.service import last_moment
from tests.controller.reconcile import toys
from tests.controller.reconcile.toys import Work

TURNS = 300
"""How many turns a figure is the mean of."""
TIMES = 3
"""How often it is taken; the median counts."""
OBJECTS = 100_000
LIVE = 1_000
"""How many of them are looked at when a controller begins."""
BODY = "x" * 3000
"""About what a run of a few steps has."""
PROGRAMS = Path("/usr/lib/postgresql")
KINDS = ("repository", "pipeline", "run", "environment", "stall")
KEY = Key("run", "push-1")
Cpu = Callable[[], float]
"""CPU milliseconds that were used by now."""


class Said(Message):
    """A message of the benchmark."""

    type: Literal["benchmark_said"] = "benchmark_said"


async def done(owner: Key, action: Work) -> tuple[Envelope, ...]:
    """Apply an action that takes no time."""
    return (Envelope(to=owner, id="done", message=toys.Done(how=action.how)),)


async def of_the_loop(store: DatabaseStore, cpu: Cpu) -> float:
    """CPU milliseconds of a turn of the loop; every worker has two."""
    names = [f"{time.monotonic_ns()}-{n}" for n in range(TURNS)]
    for name in names:
        await toys.tell(store, Key("worker", name), toys.DoWork(how="it"))
    loop = Loop(store, {"worker": toys.toy(toys.Worker, toys.worker)}, {Work: done})
    begun = cpu()
    async with toys.running(loop):
        while loop.counts["acknowledged"] < TURNS or loop.counts["saves"] < 2 * TURNS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # it is asked nothing meanwhile
    return (cpu() - begun) / loop.counts["reconciled"]


async def turns(store: DatabaseStore, cpu: Cpu) -> float:
    """CPU milliseconds of what a turn asks of the store."""
    begun = cpu()
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
        await store.commit(Transaction(acknowledge=(action.id,)), now)
    took = (cpu() - begun) / TURNS
    left = tuple(each.number for each in await store.inbox(KEY))
    await store.commit(Transaction(consume=left), 0.0)
    return took


async def begin(address: Address) -> float:
    """Seconds until a controller has what it asks of its store before it reconciles anything."""
    begun = time.perf_counter()
    store = await open_store(address, sole=True)
    await last_moment(store)
    await store.changed()
    live = [each for kind in KINDS for each in await store.list(kind, live=True)]
    await store.outbox()
    await store.addressees()
    took = time.perf_counter() - begun
    assert len(live) == LIVE
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


async def median(act: Callable[[], Awaitable[float]]) -> float:
    """The median of some measurements."""
    return statistics.median([await act() for _ in range(TIMES)])


async def measured(address: Address, cpu: Cpu) -> tuple[float, float, float]:
    """CPU milliseconds of a turn of the loop, and of the store's part; seconds of a start."""
    await fill(address)
    took = await median(lambda: begin(address))
    store = await open_store(address, sole=True)
    await store.changed()
    key = Put(key=KEY, revision=1, text=BODY, live=True)
    await store.commit(Transaction(put=key), 1.0)
    alone = await median(lambda: turns(store, cpu))
    loop = await median(lambda: of_the_loop(store, cpu))
    await store.close()
    return loop, alone, took


def own_cpu() -> float:
    """CPU milliseconds of this process."""
    return time.process_time() * 1e3


def cpu_with(folder: Path) -> Cpu:
    """CPU milliseconds of this process and of all processes of a server, also ended ones."""
    parent = int((folder / "postgresql/data/postmaster.pid").read_text().split()[0])
    tick = 1e3 / os.sysconf("SC_CLK_TCK")

    def used(process: int) -> float:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        mine = int(fields[11]) + int(fields[12])
        return tick * (mine + (int(fields[13]) + int(fields[14])) * (process == parent))

    def all_of_them() -> float:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return own_cpu() + sum(used(each) for each in (parent, *map(int, children)))

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
        sqlite = asyncio.run(measured(folder / "state.db", own_cpu))
        with server(folder) as address:
            postgresql = asyncio.run(measured(address, cpu_with(folder)))
    what = ("CPU of a turn, PostgreSQL", "CPU of the store's part of it, PostgreSQL")
    return [
        *(
            Row(each, postgresql[n], "ms", "SQLite", sqlite[n], "at most 2" * (n == 0))
            for n, each in enumerate(what)
        ),
        Row(f"start on {OBJECTS:,} objects, PostgreSQL", postgresql[2], "s", "a limit", 5.0,
            "at most 1"),
        Row(f"start on {OBJECTS:,} objects, SQLite", sqlite[2], "s", "a limit", 5.0, "at most 1"),
    ]  # fmt: skip


if __name__ == "__main__":
    from benchmarks.common import table

    print(table(main()))
