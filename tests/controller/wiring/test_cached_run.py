"""What a run whose results are all in the cache costs the loop."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from controller.config.secrets import Secrets
from controller.config.settings import RepositorySettings, Settings
from controller.machine.actions import ReportCommit
from controller.machine.core import Envelope, Fact, Key, parsed
from controller.machine.messages import StartRun
from controller.machine.runs.run import Run
from controller.store.protocol import OutboxEntry, Record, Transaction
from controller.store.sqlite import SqliteStore
from controller.wiring.controller import Controller
from tests.controller.artifacts.test_cached_results import LENGTH, chain, first_run, run_of


class CountingStore(SqliteStore):
    """Counts transactions that save an object, and look-ups in the cache."""

    puts = 0
    looked_up = 0

    async def commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        self.puts += change.put is not None
        return await super().commit(change, now)

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        self.looked_up += kind == "cache"
        return await super().get_all(kind, names)


async def test_fifty_cached_steps_are_one_look_up_and_one_saved_decision(tmp_path: Path) -> None:
    store = await CountingStore.open(tmp_path / "state.db")
    repository = RepositorySettings(name="team", url="elsewhere")
    settings = Settings(home=str(tmp_path), repositories=(repository,))
    app = Controller(settings, tmp_path, Secrets({}), store, identity="shop")
    ended: asyncio.Future[ReportCommit] = asyncio.get_running_loop().create_future()

    async def report(_owner: Key, action: ReportCommit) -> tuple[Envelope, ...]:
        if action.state != "running":
            ended.set_result(action)
        return ()

    graph = chain()
    await first_run(store, app.artifacts, graph)
    run = run_of(graph, 2)
    start = Envelope(to=Key("run", run.id), id="start", message=StartRun(run=run))
    plan = Fact(key=Key("graph", run.id), body=graph.model_dump(mode="json"))
    await store.commit(Transaction(facts=(plan,), send=(start,)), run.created)
    store.puts = 0

    loop = app.runs(report)
    running = asyncio.create_task(loop.run())
    await asyncio.wait_for(ended, 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    record = await store.get(Key("run", run.id))
    assert record is not None
    phases = [node.phase for node in parsed(Run, record.body).nodes.values()]
    assert phases == ["cached"] * LENGTH
    assert (store.looked_up, store.puts) == (1, 1)
    assert loop.counts["saves"] == 1
    await app.close()
    await store.close()
