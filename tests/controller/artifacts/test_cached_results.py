"""How often the cache is asked for the results of a run."""

import time
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.artifacts import Artifacts
from controller.artifacts.cached_results import keys_of_last_run, with_results
from controller.machine.core import Fact, Key
from controller.machine.runs.execution import decide
from controller.machine.runs.graph import Graph, fingerprint
from controller.machine.runs.graph_builder import build
from controller.machine.runs.node_progress import update_nodes
from controller.machine.runs.run import CachedResult, ObservedRun, Run, Trigger
from controller.store.protocol import Put, Record, Transaction
from controller.store.sqlite import SqliteStore
from specs.model import Pipeline
from tests.controller.machine.kit import sha, source

LENGTH = 50


class CountingStore(SqliteStore):
    """Counts what it is asked for."""

    asked = 0

    async def get(self, key: Key) -> Record | None:
        self.asked += 1
        return await super().get(key)

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        self.asked += 1
        return await super().get_all(kind, names)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    store = await CountingStore.open(tmp_path / "state.db")
    yield store
    await store.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def chain(length: int = LENGTH) -> Graph:
    """Steps of which each reads the output of the one before."""
    steps: dict[str, Any] = {}
    for number in range(length):
        step = {"run": f"make {number} {{outputs.out}}", "outputs": {"out": "out"}, "reads": []}
        before = {"inputs": {"before": f"steps.s{number - 1:02}.out"}} if number else {}
        steps[f"s{number:02}"] = {**step, **before}
    spec = Pipeline.model_validate(
        {
            "apiVersion": "headgate.dev/v1",
            "kind": "MLPipeline",
            "metadata": {"name": "chain"},
            "steps": steps,
        }
    )
    return build(spec, source(), None)


def run_of(graph: Graph, number: int) -> Run:
    return Run(
        id=f"chain-{number}",
        number=number,
        pipeline="chain",
        repository="team",
        commit=sha("c1"),
        branch="main",
        folder="",
        trigger=Trigger(kind="manual", why="asked for"),
        datasets={},
        fingerprint=fingerprint(graph, {}),
        created=100.0,
    )


async def first_run(store: SqliteStore, artifacts: Artifacts, graph: Graph) -> Run:
    """A run whose steps have all run; their results are in the cache."""
    run = run_of(graph, 1)
    observed, facts = ObservedRun(graph=graph), []
    for number, _ in enumerate(graph.nodes):
        stored = await artifacts.put_bytes(f"{number}".encode())
        run = update_nodes(run, observed, 101.0)
        node = graph.nodes[number].name
        key = run.nodes[node].key
        assert key is not None
        hit = CachedResult(run=run.id, outputs={"out": stored.digest}, made=101.0)
        facts.append(Fact(key=Key("cache", key), body=hit.model_dump(mode="json")))
        observed = observed.model_copy(update={"cache": {**observed.cache, key: hit}})
    run = update_nodes(run, observed, 101.0)
    put = Put(key=Key("run", run.id), revision=0, text=run.model_dump_json(), live=False)
    await store.commit(Transaction(put=put, facts=tuple(facts)), 101.0)
    return run


async def test_an_unchanged_rerun_of_fifty_steps_asks_once_and_is_decided_at_once(
    store: CountingStore, artifacts: Artifacts
) -> None:
    graph = chain()
    before = await first_run(store, artifacts, graph)
    run = run_of(graph, 2)
    likely = await keys_of_last_run(store, "chain")
    assert set(likely) == {node.key for node in before.nodes.values()}
    store.asked = 0

    observed = await with_results(store, artifacts, run, ObservedRun(graph=graph), likely)

    assert store.asked == 1
    decision = decide(run, observed, (), 102.0)
    assert decision.state.outcome == "passed"
    assert [node.phase for node in decision.state.nodes.values()] == ["cached"] * LENGTH
    assert decision.facts == ()


async def test_without_an_earlier_run_each_level_is_asked_for_once(
    store: CountingStore, artifacts: Artifacts
) -> None:
    graph = chain(5)
    await first_run(store, artifacts, graph)
    store.asked = 0

    observed = await with_results(store, artifacts, run_of(graph, 2), ObservedRun(graph=graph))

    assert store.asked == 5
    assert sum(hit is not None for hit in observed.cache.values()) == 5


async def test_of_a_lost_result_the_step_and_what_may_follow_from_it_is_run(
    store: CountingStore, artifacts: Artifacts
) -> None:
    graph = chain(5)
    before = await first_run(store, artifacts, graph)
    others = [node for name, node in before.nodes.items() if name != "s02"]
    kept = {digest for node in others for digest in (node.outputs or {}).values()}
    await artifacts.sweep(kept, before=time.time() + 60)
    run = run_of(graph, 2)
    likely = await keys_of_last_run(store, "chain")

    observed = await with_results(store, artifacts, run, ObservedRun(graph=graph), likely)

    decision = decide(run, observed, (), 102.0)
    phases = {name: node.phase for name, node in decision.state.nodes.items()}
    assert phases == {
        "s00": "cached",
        "s01": "cached",
        "s02": "running",
        "s03": "waiting",
        "s04": "waiting",
    }
