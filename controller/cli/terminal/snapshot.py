"""Reads what `status` shows from the store."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from controller.cli.context import controller_pid, parse_all
from controller.cli.terminal.views import (
    EnvironmentView,
    PipelineView,
    RunView,
    ScheduleView,
    StallView,
    StatusSnapshot,
    environment_view,
    failing_action_view,
    pipeline_view,
    run_view,
    set_aside_view,
    stall_view,
)
from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.repositories.repository import ENVIRONMENTS
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import Run
from controller.machine.stall import Stall
from controller.reconcile.resting import resting
from controller.reconcile.stalls import KIND as STALL
from controller.sources.crontab import Crontab
from controller.store.model_versions import Versions
from controller.store.protocol import StoreReader
from controller.store.shards import shard_of
from deployers.protocol import Glance
from deployers.windows import SERVING, make_window


async def snapshot(
    store: StoreReader, home: Path | None = None, names: Sequence[str] | None = None
) -> StatusSnapshot:
    """The state at this moment. With `home`, it says whether a controller runs and where
    environments serve; with the `names` of the repositories in the settings, which pipelines are
    no longer managed."""
    pipelines = sorted(parse_all(await store.list("pipeline"), PipelineState), key=lambda p: p.name)
    versions, holders = Versions(store), await store.holders()
    glances = await _glances(home, pipelines) if home else {}
    return StatusSnapshot(
        at=time.time(),
        pipelines=tuple([await _pipeline(store, versions, p, glances) for p in pipelines]),
        failing=tuple(failing_action_view(entry) for entry in await store.outbox() if entry.error),
        stalls=tuple(await _stalls(store)),
        set_aside=tuple(set_aside_view(message) for message in await store.set_aside()),
        controller=controller_pid(home) if home else None,
        resting=await resting(store, names) if names is not None else (),
        controllers=tuple(sorted({*holders.values()})),
        holders={
            pipeline.name: holders.get(shard_of(Key("pipeline", pipeline.name)), "")
            for pipeline in (pipelines if holders else ())
        },
    )


async def _stalls(store: StoreReader) -> list[StallView]:
    found = parse_all(await store.list(STALL, live=True), Stall)
    views = [stall_view(stall) for stall in found if not stall.over]
    return sorted(views, key=lambda view: view.since or 0.0)


async def _pipeline(
    store: StoreReader,
    versions: Versions,
    pipeline: PipelineState,
    glances: Mapping[str, Glance],
) -> PipelineView:
    environments = []
    for name in reversed(ENVIRONMENTS):
        record = await store.get(Key("environment", f"{pipeline.name}/{name}"))
        if record is not None:
            env = parsed(EnvironmentState, record.body)
            view = await _environment(store, versions, env, glances)
            environments.append(view)
    names = [*pipeline.active.values(), *(last.run for last in pipeline.last.values())]
    runs = [await _run(store, name) for name in dict.fromkeys(names)]
    shown = _current([r for r in runs if r])
    return pipeline_view(pipeline, environments, shown, _schedule(pipeline))


def _schedule(pipeline: PipelineState) -> ScheduleView | None:
    """When its schedule is next due. A missed time is made up for at once."""
    asked = pipeline.schedule
    if asked is None or pipeline.gone is not None:
        return None
    due = Crontab(asked.cron, asked.timezone).next_due(datetime.now(UTC))
    moment = due.timestamp() if due is not None else None
    return ScheduleView(cron=asked.cron, timezone=asked.timezone, next=moment)


def _current(runs: list[RunView]) -> list[RunView]:
    """The runs in progress, and the last one that ended."""
    newest = sorted(runs, key=lambda run: -run.created)
    live = [run for run in newest if run.outcome == "running"]
    return live + [run for run in newest if run.outcome != "running"][:1]


async def _run(store: StoreReader, name: str) -> RunView | None:
    record = await store.get(Key("run", name))
    if record is None:
        return None
    run = parsed(Run, record.body)
    graph = await store.get(Key("graph", name)) if run.live else None
    return run_view(run, parsed(Graph, graph.body) if graph else None)


async def _environment(
    store: StoreReader,
    versions: Versions,
    env: EnvironmentState,
    glances: Mapping[str, Glance],
) -> EnvironmentView:
    version = None
    if env.rollout is not None:
        version = await versions.get(env.pipeline, env.rollout.version.version)
    brought = env.stable_rollout
    record = await store.get(Key("rollout", brought)) if brought is not None else None
    promoted = parsed(EndedRollout, record.body) if record is not None else None
    seen = glances.get(env.place, Glance())
    return environment_view(env, version, promoted, seen.address, seen.silence)


async def _glances(home: Path, pipelines: list[PipelineState]) -> dict[str, Glance]:
    """Where environments answer, and which canaries lost their traffic, by place."""
    window = make_window(home / SERVING)
    places = [f"{pipeline.name}/{name}" for pipeline in pipelines for name in ENVIRONMENTS]
    return dict(zip(places, await asyncio.gather(*map(window.glance, places)), strict=True))
