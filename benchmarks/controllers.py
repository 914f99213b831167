"""What a second controller adds, where both share one database of PostgreSQL.

Each is a process with its loop and leases, as `headgate up` has them. Workers of all shards are
asked for one effect each. In the first half an effect takes a while, as a step's start or a push
does, so that the machine does not matter; in the second it takes no time, and controllers, server
and this process share the cores that there are: with two cores no more than these can be shown.
Beside the times: CPU of a turn, of all controllers and the server, and how often a session of the
server was seen waiting for a lock of another one.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import Row
from benchmarks.postgresql import server, server_cpu
from controller.machine.core import Envelope, Key
from controller.reconcile.loop import Loop
from controller.store.addresses import PostgresAddress
from controller.store.leases import Leases
from controller.store.postgres import PostgresStore
from controller.store.protocol import Hold, Transaction
from controller.store.shards import SHARDS
from tests.controller.reconcile import toys
from tests.controller.reconcile.toys import DoWork, Work

WORK = {1.0: 160, 0.0: 600}
"""How many effects there are, by the seconds that each takes."""
AIM = 1.7
_LEFT = """
SELECT (SELECT count(*) FROM outbox)
     + (SELECT count(*) FROM messages WHERE consumed IS NULL AND set_aside IS NULL)"""
_SHARES = "SELECT count(*) FROM leases WHERE holder != '' GROUP BY holder"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


class Load(NamedTuple):
    """How some controllers carried a load."""

    rate: float
    """Effects a second."""
    cpu: float
    """CPU milliseconds of a turn: of the controllers and of the server."""
    waiting: float
    """Sessions that waited for a lock, on the average of all looks."""


async def control(address: PostgresAddress, seconds: float) -> None:
    """A controller whose effects take so long, until it is killed."""
    store = await PostgresStore.open(address, hold=Hold.SHARED)
    leases = await Leases.open(address)
    store.fence = leases.fence

    async def effect(owner: Key, action: Work) -> Sequence[Envelope]:
        await asyncio.sleep(seconds)
        return [Envelope(to=owner, id="done", message=toys.Done(how=action.how))]

    loop = Loop(
        store, {"worker": toys.toy(toys.Worker, toys.worker)}, {Work: effect}, tenure=leases
    )
    await asyncio.gather(loop.run(), leases.keep(store.forget, loop.arrived))


async def carried(address: PostgresAddress, folder: Path, many: int, seconds: float) -> Load:
    """What so many controllers carry."""
    store = await PostgresStore.open(address)
    ask, cpu = store._rows, server_cpu(folder)
    with ExitStack() as stack:
        pids = [_start(stack, address, seconds) for _ in range(many)]
        while [*await store._run(ask, _SHARES)] != [(SHARDS // many,)] * many:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        workers = [Key("worker", f"{many}-{seconds}-{n}") for n in range(WORK[seconds])]
        told = [Envelope(to=key, id="do", message=DoWork(how="it")) for key in workers]

        def used() -> float:
            return cpu() + sum(map(_cpu_of, pids))

        before, began = used(), time.perf_counter()
        await store.commit(Transaction(send=tuple(told)), time.time())
        looks = [0.0]
        while (await store._run(ask, _LEFT))[0][0]:
            looks.append(float((await store._run(ask, _WAITING))[0][0]))
            await asyncio.sleep(0.05)
        took = time.perf_counter() - began
        turns = 2 * len(workers)
        found = Load(len(workers) / took, (used() - before) / turns, sum(looks) / len(looks))
    # What a killed one held is free at once, for the next measurement.
    await store._run(ask, "UPDATE leases SET expires = 0, holder = '' RETURNING 1")
    await store._run(ask, "DELETE FROM controllers RETURNING 1")
    await store.close()
    print(f"{many} with effects of {seconds:g} s: {found.rate:.1f} a second, {found.cpu:.2f} ms of "
          f"CPU a turn, {found.waiting:.2f} sessions waiting for a lock")  # fmt: skip
    return found


def _start(stack: ExitStack, address: PostgresAddress, seconds: float) -> int:
    words = [sys.executable, "-m", __name__, str(seconds)]
    process = stack.enter_context(
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    )
    stack.callback(process.kill)
    assert process.stdin is not None
    process.stdin.write(json.dumps(address.parameters).encode())
    process.stdin.close()
    return process.pid


def _cpu_of(pid: int) -> float:
    """CPU milliseconds of all threads of a process."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e6


def main() -> list[Row]:
    """Measure and print."""
    rows = []
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as address:
        asyncio.run(_prepared(address))
        for seconds in WORK:
            one, two = (asyncio.run(carried(address, Path(name), many, seconds)) for many in (1, 2))
            bound = seconds == 0
            what = f"bound by {os.cpu_count()} cores" if bound else f"of {seconds:g} s"
            aim = "" if bound else f"at least {AIM}"
            rows += [
                Row(f"two controllers, effects {what}", two.rate, "a second", "one", one.rate, aim),
                Row("  CPU of a turn with two", two.cpu, "ms", "with one", one.cpu),
            ]
    return rows


async def _prepared(address: PostgresAddress) -> None:
    await (await PostgresStore.open(address)).close()
    await (await Leases.open(address)).close()


if __name__ == "__main__":
    told = PostgresAddress(json.loads(sys.stdin.read()))
    asyncio.run(control(told, float(sys.argv[1])))
