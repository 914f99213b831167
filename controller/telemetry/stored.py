"""Reads from the store what the gauges are made of, at most every few seconds."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.stall import Stall
from controller.store.model_versions import Versions
from controller.store.protocol import Record, StoreReader
from controller.telemetry.catalogue import PipelineLabels
from controller.telemetry.gauges import (
    EnvironmentFacts,
    FirstSeen,
    Sample,
    StoredFacts,
    environment_facts,
    gauges,
)
from specs.failures import Failure

FRESH = 5.0
"""Seconds for which what was read answers every scrape."""
PATIENCE = 3.0
"""Seconds that a scrape waits for the store; then it gets what was read last, with its age."""
TURN = 20
"""How many states are parsed before others get their turn."""

log = structlog.get_logger("headgate.metrics")


class _Parsed(NamedTuple):
    revision: int
    facts: EnvironmentFacts


class StoredGauges:
    """The gauges of the stored state. What has not changed since it was read is not parsed again,
    and objects that rest are not read at all."""

    def __init__(
        self,
        store: StoreReader,
        versions: Versions,
        pipelines: PipelineLabels,
        clock: Callable[[], float],
        patience: float = PATIENCE,
    ) -> None:
        """`clock` gives seconds since the epoch, as the store has them."""
        self._store = store
        self._versions = versions
        self._pipelines = pipelines
        self._clock = clock
        self._patience = patience
        self._known: dict[Key, _Parsed] = {}
        self._seen = FirstSeen()
        self._samples: Sequence[Sample] = ()
        self._read_at = self._made = time.monotonic()
        self._took = 0.0
        self._fresh = False
        self._reading: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read the store unless that was done just now. Raises nothing: a store that fails or is
        slow shows in the age of the gauges."""
        if self._fresh and time.monotonic() - self._read_at < FRESH:
            return
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.wait([self._reading], timeout=self._patience)

    def samples(self) -> Sequence[Sample]:
        """The gauges as they were read last, and how old they are."""
        age = time.monotonic() - self._made
        return [
            *self._samples,
            Sample("headgate_state_age_seconds", (), age),
            Sample("headgate_state_read_seconds", (), self._took),
        ]

    @property
    def pipelines(self) -> Sequence[str]:
        """The pipelines with an environment that is looked after."""
        return [one.facts.pipeline for one in self._known.values()]

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        began = time.monotonic()
        try:
            facts = await self._facts()
        except Failure as failure:
            log.warning("the state cannot be read for metrics", reason=str(failure))
        except Exception:
            log.exception("the state could not be read for metrics")
        else:
            self._seen = self._seen.after(facts)
            self._samples = gauges(facts, self._seen, self._pipelines)
            self._made = time.monotonic()
            self._took = self._made - began
        self._fresh, self._read_at = True, time.monotonic()

    async def _facts(self) -> StoredFacts:
        store = self._store
        environments = await self._environments(await store.list("environment", live=True))
        runs = [one.key.name.rpartition("-")[0] for one in await store.list("run", live=True)]
        stalls = [
            Stall.model_validate_json(one.text) for one in await store.list("stall", live=True)
        ]
        return StoredFacts(
            self._clock(),
            environments,
            runs,
            await store.outbox(),
            await store.inbox(),
            len(await store.set_aside()),
            [
                (one.of.partition("/")[0], one.since or self._clock())
                for one in stalls
                if not one.over
            ],
        )

    async def _environments(self, records: Sequence[Record]) -> list[EnvironmentFacts]:
        known: dict[Key, _Parsed] = {}
        parsed = 0
        for record in records:
            found = self._known.get(record.key)
            if found is None or found.revision != record.revision:
                parsed += 1
                if not parsed % TURN:
                    await asyncio.sleep(0)
                found = await self._parse(record)
            if found is not None:
                known[record.key] = found
        self._known = known
        return [one.facts for one in known.values()]

    async def _parse(self, record: Record) -> _Parsed | None:
        try:
            env = EnvironmentState.model_validate_json(record.text)
        except ValueError:
            return None  # a newer version wrote it; `headgate_unreadable_objects` counts it
        version = None
        if env.rollout is not None:
            version = await self._versions.get(env.pipeline, env.rollout.version.version)
        facts = environment_facts(env, version)
        if env.rollout is not None and version is None:
            return _Parsed(-1, facts)  # look again
        return _Parsed(record.revision, facts)
