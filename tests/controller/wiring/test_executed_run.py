"""What a run whose steps are executed costs the loop: transactions and changes of threads."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.executors import collector, local
from controller.machine.actions import ReportCommit
from controller.machine.core import Envelope, Key, parsed
from controller.machine.runs import execution
from controller.machine.runs.run import Run
from controller.planning.checkout import (
    Checkout,
    checkout_of,
)
from controller.reconcile import loop as reconciling
from controller.store.protocol import OutboxEntry, Record, Transaction
from controller.store.sqlite import SqliteStore
from controller.wiring.controller import Controller
from controller.wiring.local_run import Stop, at_home
from tests.controller.wiring.asked_run import asked_run


def git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(("git", *person, *arguments), cwd=folder, check=True, capture_output=True)


HEAD = "apiVersion: headgate.dev/v1\nkind: MLPipeline\nmetadata: {name: chain}\nsteps:\n"


def chain(steps: int, first: str = "0") -> str:
    """Steps of which each reads the output of the one before; the first runs `first`."""
    text = HEAD
    for step in range(steps):
        text += f"  s{step}:\n    outputs: {{out: out}}\n    reads: []\n"
        said = first if step == 0 else f"{step}"
        text += f"    run: sh -c 'echo {said} > {{outputs.out}}'\n"
        text += f"    inputs: {{before: steps.s{step - 1}.out}}\n" if step else ""
    return text


class Runs:
    """A controller that reconciles runs only, and what it did for the last of them."""

    def __init__(self, app: Controller, checkout: Checkout) -> None:
        self._app, self._checkout = app, checkout
        self._number = 0
        self.conflicts = 0

    async def run(self, spec: str) -> Run:
        """Run a spec to its end."""
        self._number += 1
        top = self._checkout.top
        (top / "ml-pipeline.yaml").write_text(spec)
        git(top, "add", "-A")
        git(top, "commit", "-q", "-m", f"run {self._number}")
        ended: asyncio.Future[ReportCommit] = asyncio.get_running_loop().create_future()

        async def report(_owner: Key, action: ReportCommit) -> tuple[Envelope, ...]:
            if action.state != "running":
                ended.set_result(action)
            return ()

        loop = self._app.runs(report)
        self._app.wake_ended(loop)
        run, begin = asked_run(self._checkout, self._number)
        await self._app.store.commit(begin, run.created)
        running = asyncio.create_task(loop.run())
        assert (await asyncio.wait_for(ended, 60)).state == "passed"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self.conflicts = loop.counts["conflicts"]
        record = await self._app.store.get(Key("run", run.id))
        assert record is not None
        return parsed(Run, record.body)


@pytest.fixture
async def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runs]:
    # On a busy machine nothing happens more often than on an idle one.
    monkeypatch.setattr(local, "TIDY", 3600.0)  # what was left is deleted at the end
    monkeypatch.setattr(collector, "MAX_WAIT", 60.0)
    monkeypatch.setattr(execution, "POLL", execution.RAREST_POLL)
    monkeypatch.setattr(reconciling, "SOON", execution.RAREST_POLL)
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    git(work, "commit", "-q", "--allow-empty", "-m", "begin")
    checkout = checkout_of(work)._replace(file="ml-pipeline.yaml")
    stop = Stop(asyncio.Event(), asyncio.Event())
    async with at_home(tmp_path / "home", checkout, stop) as app:
        yield Runs(app, checkout)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Transactions, look-ups in the cache, and changes of threads."""
    counted: Counter[str] = Counter()
    commit, get_all = SqliteStore.commit, SqliteStore.get_all
    hop = asyncio.BaseEventLoop.run_in_executor

    async def committed(
        store: SqliteStore, change: Transaction, now: float
    ) -> tuple[OutboxEntry, ...]:
        counted["commits"] += 1
        return await commit(store, change, now)

    async def got(store: SqliteStore, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        counted["look-ups"] += kind == "cache"
        return await get_all(store, kind, names)

    def changed(loop: asyncio.BaseEventLoop, pool: Any, call: Any, *given: Any) -> Any:
        # How often it is asked what other processes did depends on time alone.
        counted["hops"] += not any(getattr(x, "__name__", "") == "_changed" for x in given)
        return hop(loop, pool, call, *given)

    monkeypatch.setattr(SqliteStore, "commit", committed)
    monkeypatch.setattr(SqliteStore, "get_all", got)
    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", changed)
    return counted


async def test_a_step_costs_one_transaction_and_three_changes_of_threads(
    runs: Runs, counts: Counter[str]
) -> None:
    """One thread writes its files and starts it, one stores its outputs, and one saves."""
    await runs.run(chain(1, "warm"))
    found = []
    for steps in (2, 6):
        counts.clear()
        await runs.run(chain(steps, f"of {steps}"))
        found.append(counts.copy())
    few, many = found
    assert {name: many[name] - few[name] for name in few} == {
        "commits": 4,
        "look-ups": 0,
        "hops": 12,
    }


async def test_steps_whose_results_turn_out_to_be_cached_are_not_run(
    runs: Runs, counts: Counter[str]
) -> None:
    """They are taken not to be, as the step before had to run; the store says that it is wrong."""
    await runs.run(chain(4))
    counts.clear()
    again = await runs.run(chain(4, "0 "))
    phases = {name: node.phase for name, node in again.nodes.items()}
    assert phases == {"s0": "succeeded", "s1": "cached", "s2": "cached", "s3": "cached"}
    assert [bool(node.attempts) for node in again.nodes.values()] == [True, False, False, False]
    assert runs.conflicts == 1
