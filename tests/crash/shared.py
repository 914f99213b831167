"""A story of several controllers over one database: their families, and effects that are real.

A controller is a process, so that it can be killed and paused. An effect is a file of its own name
with a line for each time that it was made, by whom.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from controller.machine.core import Envelope, Key
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.workqueue import Backoff
from controller.store.addresses import PostgresAddress
from controller.store.leases import Leases, LeaseTerms
from controller.store.postgres import PostgresStore
from controller.store.protocol import Hold
from tests.controller.reconcile import toys
from tests.controller.reconcile.toys import Effect, EffectDone, toy

TERMS = LeaseTerms(every=0.3, lasts=2.0, margin=0.3)


async def control(folder: Path, address: PostgresAddress, name: str, ahead: float) -> None:
    """A controller, until it is told to end. Its machine's clock is that many seconds ahead."""
    true = time.time

    def clock() -> float:
        return true() + ahead

    time.time = clock
    store = await PostgresStore.open(address, hold=Hold.SHARED)
    leases = await Leases.open(address, TERMS)
    store.fence = leases.fence

    async def effect(owner: Key, action: Effect) -> Sequence[Envelope]:
        with (folder / action.name).open("a") as made:
            made.write(f"{name}\n")
        done = EffectDone(stage=action.name.rpartition("-")[2])
        return [Envelope(to=owner, id=f"done-{action.name}", message=done)]

    loop = Loop(
        store,
        {"parent": toy(toys.Parent, toys.parent), "child": toy(toys.Child, toys.child)},
        {Effect: effect},
        policy=RuntimePolicy(clock=clock, wall=clock, backoff=Backoff(first=0.01, most=0.1)),
        tenure=leases,
    )
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    parts = [
        asyncio.create_task(loop.run()),
        asyncio.create_task(leases.keep(store.forget, loop.arrived)),
        asyncio.create_task(ended.wait()),
    ]
    await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    for each in parts:
        each.cancel()
    await asyncio.gather(*parts, return_exceptions=True)
    await leases.close()
    await store.close()
    assert ended.is_set()


class SharedProcess:
    """A controller as a process of its own."""

    def __init__(
        self, folder: Path, address: PostgresAddress, name: str, ahead: float = 0.0
    ) -> None:
        self.name = name
        words = [sys.executable, "-m", __name__, str(folder), name, str(ahead)]
        self._log = (folder.parent / f"{name}.log").open("wb")
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(address.parameters).encode())
        self._process.stdin.close()

    def send(self, number: signal.Signals) -> None:
        """Kill it, pause it, wake it, or tell it to end."""
        os.kill(self._process.pid, number)

    async def ends(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.to_thread(self._process.wait, 30)

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._log.close()


if __name__ == "__main__":
    told = json.loads(sys.stdin.read())
    asyncio.run(control(Path(sys.argv[1]), PostgresAddress(told), sys.argv[2], float(sys.argv[3])))
