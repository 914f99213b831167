"""What a scrape is answered with: counted as decisions are saved, read from a real store."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.machine.core import Decision, Fact, Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.pipelines.version import Ref
from controller.machine.runs.run import Run
from controller.store.model_versions import Versions
from controller.store.protocol import OutboxEntry, Put, Record, Transaction
from controller.store.sqlite import SqliteStore
from controller.telemetry import stored
from controller.telemetry.catalogue import BY_NAME, CATALOGUE, PipelineLabels
from controller.telemetry.gauges import Sample
from controller.telemetry.registry import ControllerMetrics
from controller.telemetry.stored import StoredGauges
from specs.failures import TryAgain
from tests.controller.telemetry.test_traces import NOW, rollout, run


def metrics(store: SqliteStore, patience: float = 60.0, most: int = 100) -> ControllerMetrics:
    """The metrics of a controller that has just started."""
    labels = PipelineLabels(most)
    gauges = StoredGauges(store, Versions(store), labels, lambda: NOW, patience)
    return ControllerMetrics(gauges, lambda: [Sample("headgate_can_save", (), 1)], labels)


async def scrape(of: ControllerMetrics) -> dict[tuple[str, ...], float]:
    """The values by name and labels, without those of the process."""
    found = await of.exposition("")
    assert found.content_type.startswith("text/plain")
    return {
        (one.name, *_in_order(one.name, one.labels)): one.value
        for family in text_string_to_metric_families(found.content.decode())
        for one in family.samples
        if one.name.startswith("headgate_")
    }


def _in_order(name: str, labels: Mapping[str, str]) -> list[str]:
    """The values of labels as the catalogue has them; a bucket's limit comes last."""
    entry = BY_NAME[re.sub("_(count|sum|bucket)$", "", name)]
    return [labels[label] for label in (*entry.labels, "le") if label in labels]


def saved(of: ControllerMetrics, before: Run | None, after: Run) -> None:
    of.saved(Key("run", after.id), before, Decision(state=after))


def environment(name: str = "flights", version: int = 1) -> EnvironmentState:
    stable = Ref(version=version, digest="d")
    return EnvironmentState(pipeline=name, name="production", repository="team", stable=stable)


async def put(store: SqliteStore, env: EnvironmentState, revision: int = 0) -> None:
    text = env.model_dump_json()
    change = Put(key=Key("environment", env.place), revision=revision, text=text, live=True)
    await store.commit(Transaction(put=change), NOW)


async def test_a_run_is_counted_once_however_often_it_is_saved(store: SqliteStore) -> None:
    of = metrics(store)
    done = run()
    going = done.model_copy(update={"finished": None, "nodes": {"train": done.nodes["train"]}})
    saved(of, None, going)
    saved(of, going, done)
    saved(of, done, done.model_copy(update={"told": "something"}))
    found = await scrape(of)
    assert found["headgate_runs_total", "flights", "stopped"] == 1
    assert found["headgate_run_duration_seconds_sum", "stopped"] == 20
    assert found["headgate_step_duration_seconds_count", "step", "lost"] == 1
    assert found["headgate_step_duration_seconds_sum", "step", "succeeded"] == 4
    assert found["headgate_step_duration_seconds_count", "gate", "succeeded"] == 1
    assert found["headgate_steps_total", "flights", "cached"] == 1
    assert found["headgate_steps_total", "flights", "succeeded"] == 2
    assert found["headgate_gate_verdicts_total", "flights", "model", "FAIL"] == 1


async def test_a_rollout_is_counted_with_its_duration_as_it_ends(store: SqliteStore) -> None:
    of = metrics(store)
    ended = rollout()
    fact = Fact(key=Key("rollout", ended.rollout.id), body=ended.model_dump(mode="json"))
    before = environment().model_copy(update={"rollout": ended.rollout})
    decision = Decision[EnvironmentState](state=environment(), facts=(fact,))
    of.saved(Key("environment", "flights/production"), before, decision)
    found = await scrape(of)
    assert found["headgate_rollouts_total", "flights", "production", "rolled_back"] == 1
    assert found["headgate_rollout_duration_seconds_sum", "production", "rolled_back"] == 39


async def test_the_counters_of_a_pipeline_are_there_at_0_before_anything_happens(
    store: SqliteStore,
) -> None:
    """Else `increase` would not see the first rollback."""
    await put(store, environment())
    found = await scrape(metrics(store))
    assert found["headgate_rollouts_total", "flights", "production", "rolled_back"] == 0
    assert found["headgate_gate_verdicts_total", "flights", "data", "ERROR"] == 0


async def test_more_pipelines_than_there_are_labels_do_not_make_more_series(
    store: SqliteStore,
) -> None:
    of = metrics(store, most=3)
    for number in range(5):
        saved(of, None, run().model_copy(update={"pipeline": f"p{number}"}))
    few = len(await scrape(of))
    for number in range(5, 60):
        saved(of, None, run().model_copy(update={"pipeline": f"p{number}"}))
    found = await scrape(of)
    assert len(found) == few
    assert found["headgate_runs_total", "other", "stopped"] == 57


async def test_what_is_stored_is_read_again_only_after_a_while(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, environment())
    of = metrics(store)
    serving = ("headgate_serving_version", "flights", "production")
    assert (await scrape(of))[serving] == 1
    calls = store.calls
    await put(store, environment(version=2), revision=1)
    assert (await scrape(of))[serving] == 1
    assert store.calls == calls + 1  # the put
    monkeypatch.setattr(stored, "FRESH", 0.0)
    assert (await scrape(of))[serving] == 2


async def test_only_what_has_changed_is_parsed_again(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        await put(store, environment(f"p{number}"))
    monkeypatch.setattr(stored, "FRESH", 0.0)
    of = metrics(store)
    await scrape(of)
    parsed: list[str] = []
    parse = StoredGauges._parse

    async def counting(self: StoredGauges, record: Record) -> object:
        parsed.append(record.key.name)
        return await parse(self, record)

    monkeypatch.setattr(StoredGauges, "_parse", counting)
    await put(store, environment("p7", version=2), revision=1)
    assert (await scrape(of))["headgate_serving_version", "p7", "production"] == 2
    assert parsed == ["p7/production"]


class SlowStore(SqliteStore):
    """Answers when it is let, or fails."""

    let: asyncio.Event
    fails = False

    async def list(self, *arguments: Any, **named: Any) -> Sequence[Record]:
        if self.fails:
            raise TryAgain("the database is locked")
        await self.let.wait()
        return await super().list(*arguments, **named)


@pytest.fixture
async def slow(path: Path) -> AsyncIterator[SlowStore]:
    """A store with an action that is to be applied."""
    made = await SlowStore.open(path)
    made.let = asyncio.Event()
    action = {"type": "notify"}
    entry = OutboxEntry(id="a", owner=Key("run", "r"), lane="main", action=action)
    await made.commit(Transaction(enqueue=(entry,)), NOW)
    yield made
    await made.close()


async def test_a_scrape_does_not_wait_for_a_store_that_hangs(slow: SlowStore) -> None:
    of = metrics(slow, patience=0.01)
    found = await scrape(of)
    assert found[("headgate_can_save",)] == 1
    assert ("headgate_outbox_entries", "notify") not in found
    slow.let.set()
    assert (await scrape(metrics(slow)))["headgate_outbox_entries", "notify"] == 1


async def test_the_age_of_the_gauges_grows_while_the_store_fails(
    slow: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.let.set()
    monkeypatch.setattr(stored, "FRESH", 0.0)
    of = metrics(slow)
    await scrape(of)
    slow.fails = True
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 900)
    found = await scrape(of)
    assert found["headgate_outbox_entries", "notify"] == 1  # as it was read last
    assert found[("headgate_state_age_seconds",)] >= 900


async def test_turns_are_counted_by_kind_and_result(store: SqliteStore) -> None:
    of = metrics(store)
    of.turned(Key("run", "flights-1"), 0.3, "done")
    of.turned(Key("run", "flights-2"), 30, "retried")
    found = await scrape(of)
    assert found["headgate_turn_duration_seconds_bucket", "run", "done", "0.5"] == 1
    assert found["headgate_turn_duration_seconds_bucket", "run", "retried", "10.0"] == 0


async def test_openmetrics_is_spoken_to_those_who_ask_for_it(store: SqliteStore) -> None:
    found = await metrics(store).exposition("application/openmetrics-text; version=1.0.0")
    assert found.content_type.startswith("application/openmetrics-text")
    assert found.content.endswith(b"# EOF\n")


def test_the_catalogue_follows_prometheus_rules_for_names() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    for entry in CATALOGUE:
        assert entry.name.startswith("headgate_")
        assert (entry.kind == "counter") == entry.name.endswith("_total")
        assert (entry.kind == "histogram") == bool(entry.buckets)
        assert entry.meaning.endswith(".")
        assert not {"run", "commit", "dataset", "step"} & {*entry.labels}
