"""The controller's CPU time for a step, beside the least that such a step can cost.

A chain of steps that do nothing is run by a controller that reconciles runs and nothing else, so
that no poll of a repository is charged to a step. What a run of one step costs is subtracted. The
reference does, for each step, one plain durable commit of a text of the same size in a thread of
its own, and starts and awaits the same command with the same supervisor.

The processes' own time is not in it: that of supervisors, of what confines a step and of the step.
"""

import asyncio
import resource
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from controller.config import logs
from controller.machine.actions import ReportCommit
from controller.machine.core import Envelope, Key, parsed
from controller.machine.runs.run import Run
from controller.planning.checkout import (
    Checkout,
    checkout_of,
)
from controller.store.protocol import Transaction
from controller.wiring.controller import Controller
from controller.wiring.local_run import Stop, at_home
from deployers.processes import Processes, ProcessSpec
from tests.controller.wiring.asked_run import asked_run

STEP = """\
  step{0:03}:
    run: sh -c 'echo "$1" > "$2"' sh {{params.round}}.{0} {{outputs.out}}
    outputs: {{out: out}}
    reads: []
"""


class StepCounts(NamedTuple):
    """What a run of a chain took, for each of its steps."""

    cpu: float
    """Seconds of the controller's process."""
    reconciled: float
    store_calls: float
    """Of the store's thread."""


def spec(steps: int, round_: int) -> str:
    """A chain; every round has other commands."""
    text = "apiVersion: headgate.dev/v1\nkind: MLPipeline\nmetadata: {name: chain}\n"
    text += f"params: {{round: {round_}}}\nsteps:\n"
    for step in range(steps):
        text += STEP.format(step)
        if step:
            text += f"    inputs: {{before: steps.step{step - 1:03}.out}}\n"
    return text


class Chain:
    """A repository with a chain, and a controller that runs it."""

    def __init__(self, app: Controller, checkout: Checkout) -> None:
        self.app, self._checkout = app, checkout
        self._rounds = 0

    @classmethod
    @asynccontextmanager
    async def at(cls, root: Path) -> AsyncIterator["Chain"]:
        """In an empty folder."""
        work = root / "work"
        work.mkdir()
        _git(work, "init", "-q", "-b", "main")
        _git(work, "commit", "-q", "--allow-empty", "-m", "begin")
        checkout = checkout_of(work)._replace(file="ml-pipeline.yaml")
        stop = Stop(asyncio.Event(), asyncio.Event())
        async with at_home(root / "home", checkout, stop) as app:
            yield cls(app, checkout)

    async def run(self, steps: int) -> StepCounts:
        """Run a chain of so many steps, none of it cached."""
        self._rounds += 1
        run, begin = self._begun(steps)
        ended: asyncio.Future[ReportCommit] = asyncio.get_running_loop().create_future()

        async def tell(_owner: Key, action: ReportCommit) -> tuple[Envelope, ...]:
            if action.state != "running":
                ended.set_result(action)
            return ()

        loop = self.app.runs(tell)
        calls, before = self.app.store.calls, own_cpu()
        self.app.wake_ended(loop)
        running = asyncio.create_task(loop.run())
        await self.app.store.commit(begin, run.created)
        loop.wake(Key("run", run.id))
        end = await ended
        assert end.state == "passed", end
        spent = own_cpu() - before
        calls = self.app.store.calls - calls
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return StepCounts(spent, loop.counts["reconciled"], calls)

    async def text_of(self) -> str:
        """The state of the last run, as it was saved last."""
        record = await self.app.store.get(Key("run", f"chain-{self._rounds}"))
        assert record is not None
        assert parsed(Run, record.body).outcome == "passed"
        return record.text

    def _begun(self, steps: int) -> tuple[Run, Transaction]:
        work = self._checkout.top
        (work / "ml-pipeline.yaml").write_text(spec(steps, self._rounds))
        _git(work, "add", "-A")
        _git(work, "commit", "-q", "-m", "measure")
        return asked_run(self._checkout, self._rounds)


async def least(root: Path, steps: int, text: str) -> float:
    """Seconds of CPU that a step takes at the least."""
    database = sqlite3.connect(root / "least.db", isolation_level=None, check_same_thread=False)
    for line in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL",
                 "CREATE TABLE objects (name TEXT PRIMARY KEY, body TEXT)"):  # fmt: skip
        database.execute(line)

    def commit() -> None:
        database.execute("BEGIN IMMEDIATE")
        database.execute("REPLACE INTO objects VALUES ('run', ?)", (text,))
        database.execute("COMMIT")

    command = ("sh", "-c", 'echo "$1" > "$2"', "sh", "0", str(root / "out"))
    plain = ProcessSpec(argv=command, cwd="/", environment={"PATH": "/usr/bin:/bin"})
    with Processes(root / "processes") as processes, ThreadPoolExecutor(1) as thread:
        endings: asyncio.Queue[str] = asyncio.Queue()
        processes.announce(endings.put_nowait)
        before = own_cpu()
        for step in range(steps):
            await asyncio.get_running_loop().run_in_executor(thread, commit)
            processes.start(f"{step}", plain)
            name = await endings.get()
            exited = processes.status(name).exit
            assert exited is not None
            assert exited.succeeded
        spent = own_cpu() - before
    database.close()
    return spent / steps


def own_cpu() -> float:
    """Seconds of user and system time of this process so far, in all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
    subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True)


async def measure(root: Path, steps: int, rounds: int) -> tuple[StepCounts, float]:
    """What a step takes beyond those of a run of one, in the round that took least; and the least
    that it can take, likewise, measured in between."""
    logs.set_up(level="ERROR")  # as `headgate run` does: nobody reconciles the pipeline
    found, floors = [], []
    async with Chain.at(root) as chain:
        for number in range(rounds):
            one, many = await chain.run(1), await chain.run(steps)
            found.append(
                StepCounts(*((b - a) / (steps - 1) for a, b in zip(one, many, strict=True)))
            )
            below = root / f"least{number}"
            below.mkdir()
            floors.append(await least(below, steps, await chain.text_of()))
    return min(found), min(floors)
