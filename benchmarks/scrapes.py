"""What metrics cost: `python -m benchmarks.scrapes [--pipelines N] [--objects N]`.

A state of that many objects, most of them runs that ended, and that many pipelines with two
environments each, one in ten with a canary; each pipeline has had runs and rollouts, so that it has
all its series. The measures:

- **first scrape**: all environments are parsed; **scrape**: none has changed since; **scrape of
  what changed**: a tenth has. Seconds of the clock, CPU of the process.
- **longest pause**: how long the event loop, where everything else runs, stood still meanwhile.
- **cached scrape**: within 5 s of another, which is what a second Prometheus gets.
- **a turn**: what is counted for a turn of a run that saves: microseconds of CPU.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import Row, table
from controller.machine.core import Decision, Fact, Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout, Rollout
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.machine.runs.attempt import AttemptState, Status
from controller.machine.runs.graph import SourceTree
from controller.machine.runs.run import AttemptRecord, Progress, Run, Trigger
from controller.store.model_versions import Versions
from controller.store.protocol import Put, Transaction
from controller.store.sqlite import SqliteStore
from controller.telemetry import stored
from controller.telemetry.catalogue import PipelineLabels
from controller.telemetry.registry import ControllerMetrics
from controller.telemetry.stored import StoredGauges
from specs.model import Pipeline
from validators.verdict import Verdict

PIPELINES = 1000
OBJECTS = 100_000
TURNS = 2000
BATCH = 2000
NOW = 1_800_000_000.0
TIMEOUT = 10_000.0
"""Milliseconds; Prometheus' own limit for a scrape."""

_SPEC = Pipeline.model_validate(
    {
        "apiVersion": "headgate.dev/v1",
        "kind": "MLPipeline",
        "metadata": {"name": "p"},
        "steps": {"train": {"run": "x {outputs.model}", "outputs": {"model": "model.json"}}},
        "model": "steps.train.model",
        "release": {"serve": {"run": "serve --port {port}"}},
    }
)


def run(pipeline: int, number: int) -> Run:
    """A run that passed, of a step and a gate."""
    status = Status(state=AttemptState.SUCCEEDED, started=NOW, ended=NOW + 5)
    attempts = (AttemptRecord(id="a", asked=NOW, status=status),)
    train = Progress(key="k" * 64, attempts=attempts, outputs={"model": "d" * 64}, ended=NOW + 5)
    return Run(
        id=f"p{pipeline}-{number}",
        number=number,
        pipeline=f"p{pipeline}",
        repository="team",
        commit="c" * 40,
        branch="main",
        folder="",
        trigger=Trigger(kind="commit", why="a commit"),
        datasets={"numbers": "d" * 64},
        fingerprint="f" * 64,
        created=NOW,
        nodes={"train": train, "gate.model": train.model_copy(update={"verdict": Verdict.PASS})},
        finished=NOW + 10,
    )


def environment(pipeline: int, name: str, version: int = 1) -> EnvironmentState:
    """One that serves; one in ten productions has a rollout."""
    rollout = None
    if name == "production" and pipeline % 10 == 0:
        rollout = Rollout(
            id=f"p{pipeline}-production-2",
            version=Ref(version=2, digest="d" * 64),
            kind="release",
            why="it passed",
            by="headgate",
            asked=NOW,
            deployed=NOW,
            ready=NOW,
            step=0,
        )
    return EnvironmentState(
        pipeline=f"p{pipeline}",
        name=name,
        repository="team",
        stable=Ref(version=version, digest="d" * 64),
        former=tuple(Ref(version=n, digest="d" * 64) for n in range(20)),
        rollout=rollout,
    )


def model(pipeline: int) -> Fact:
    """The version that a rollout releases."""
    version = ModelVersion(
        pipeline=f"p{pipeline}",
        number=2,
        digest="d" * 64,
        model="d" * 64,
        run=f"p{pipeline}-2",
        source=SourceTree(repository="team", commit="c" * 40, folder="", files={}),
        branch="main",
        datasets={},
        verdicts={},
        spec=_SPEC,
        created=NOW,
    )
    return Fact(key=Key("model", f"p{pipeline}/2"), body=version.model_dump(mode="json"))


async def fill(store: SqliteStore, pipelines: int, objects: int) -> None:
    """Save the state."""
    for pipeline in range(pipelines):
        for name in ("staging", "production"):
            await put(store, environment(pipeline, name))
    await store.commit(Transaction(facts=tuple(model(n) for n in range(0, pipelines, 10))), NOW)
    body = run(0, 0).model_dump(mode="json")
    left = objects - 2 * pipelines
    for first in range(0, left, BATCH):
        numbers = range(first, min(first + BATCH, left))
        facts = (Fact(key=Key("run", f"p{n % pipelines}-{n}"), body=body) for n in numbers)
        await store.commit(Transaction(facts=tuple(facts)), NOW)


async def put(store: SqliteStore, env: EnvironmentState, revision: int = 0) -> None:
    """Save an environment."""
    text = env.model_dump_json()
    change = Put(key=Key("environment", env.place), revision=revision, text=text, live=True)
    await store.commit(Transaction(put=change), NOW)


class Watch:
    """The longest time that the event loop stood still."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def look(self) -> None:
        """Look until cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - before - 0.001)


async def scraped(of: ControllerMetrics) -> tuple[float, float, float, int]:
    """Seconds, CPU seconds, the longest pause, and the bytes of a scrape."""
    watch = Watch()
    looking = asyncio.create_task(watch.look())
    await asyncio.sleep(0.01)
    began, cpu = time.perf_counter(), time.process_time()
    found = await of.exposition("")
    took, used = time.perf_counter() - began, time.process_time() - cpu
    looking.cancel()
    return took, used, watch.longest, len(found.content)


def count(of: ControllerMetrics, pipelines: int) -> float:
    """CPU microseconds for a turn that saves, and all series of all pipelines."""
    for pipeline in range(pipelines):
        done = run(pipeline, 1)
        of.saved(Key("run", done.id), None, Decision[Run](state=done))
        for name in ("staging", "production"):
            env = environment(pipeline, name)
            rollout = environment(0, "production").rollout
            assert rollout is not None
            ended = EndedRollout(
                rollout=rollout,
                environment=name,
                pipeline=env.pipeline,
                outcome="promoted",
                reason="",
                at=NOW + 60,
            )
            fact = Fact(key=Key("rollout", "r"), body=ended.model_dump(mode="json"))
            decision = Decision[EnvironmentState](state=env, facts=(fact,))
            of.saved(Key("environment", env.place), env, decision)
    before = run(1, 2)
    after = before.model_copy(update={"told": "something"})
    began = time.process_time()
    for _ in range(TURNS):
        of.saved(Key("run", after.id), before, Decision[Run](state=after))
        of.turned(Key("run", after.id), 0.01, "done")
    return (time.process_time() - began) / TURNS * 1e6


async def measure(folder: Path, pipelines: int, objects: int) -> list[Row]:
    """All measures."""
    store = await SqliteStore.open(folder / "state.db")
    await fill(store, pipelines, objects)
    labels = PipelineLabels()
    gauges = StoredGauges(store, Versions(store), labels, lambda: NOW, patience=60.0)
    of = ControllerMetrics(gauges, list, labels)
    turn = count(of, pipelines)
    found = {"first scrape": await scraped(of), "cached scrape": await scraped(of)}
    stored.FRESH = 0.0
    found["scrape"] = await scraped(of)
    for pipeline in range(0, pipelines, 10):
        await put(store, environment(pipeline, "production", 3), revision=1)
    found["scrape of what changed"] = await scraped(of)
    await store.close()
    rows = []
    for what, (took, cpu, pause, size) in found.items():
        name = f"{what}, {pipelines} pipelines of {objects} objects"
        print(
            f"{name}: {took * 1e3:.0f} ms, {cpu * 1e3:.0f} ms of CPU, longest pause "
            f"{pause * 1e3:.0f} ms, {size / 1e6:.1f} MB",
            flush=True,
        )
        rows.append(Row(name, took * 1e3, "ms", "Prometheus' limit", TIMEOUT, "0.1"))
    print(f"a turn: {turn:.1f} us of CPU", flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scrapes", description=__doc__)
    parser.add_argument("--pipelines", type=int, default=PIPELINES)
    parser.add_argument("--objects", type=int, default=OBJECTS)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(measure(Path(name), given.pipelines, given.objects))


if __name__ == "__main__":
    print(table(main()))
