"""The metrics of one controller, as Prometheus scrapes them."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from controller.machine.core import Decision, Key, Value
from controller.machine.environments.environment import EnvironmentState
from controller.machine.repositories.repository import ENVIRONMENTS
from controller.machine.runs.run import Run
from controller.reconcile.witness import TurnResult
from controller.telemetry.catalogue import BY_NAME, CATALOGUE, PipelineLabels
from controller.telemetry.events import (
    GateJudged,
    NodeDone,
    RolloutEnded,
    RunFinished,
    StepEnded,
    events,
)
from controller.telemetry.gauges import Sample
from controller.telemetry.stored import StoredGauges

if TYPE_CHECKING:
    from prometheus_client.core import Metric

FED = (
    "headgate_rollouts_total",
    "headgate_gate_verdicts_total",
    "headgate_runs_total",
    "headgate_steps_total",
)
"""The counters that are fed as things happen; all others are read from those that count."""
BEGIN_AT_0 = (
    *(
        ("headgate_rollouts_total", (environment, outcome))
        for environment in ENVIRONMENTS
        for outcome in ("promoted", "rolled_back", "failed")
    ),
    *(("headgate_runs_total", (outcome,)) for outcome in ("passed", "failed", "stopped")),
    *(("headgate_gate_verdicts_total", (gate, "ERROR")) for gate in ("data", "model", "smoke")),
)
"""What each pipeline has from when it is first seen: `increase` sees nothing of a series that
appears with its first count."""


class Exposition(NamedTuple):
    """What a scrape gets."""

    content: bytes
    content_type: str


class ControllerMetrics:
    """A `Witness` of the loop that counts, and all metrics in one registry of their own.

    `readings` gives the samples of what is counted elsewhere. Counters begin at 0 with the process,
    as Prometheus expects.
    """

    def __init__(
        self,
        stored: StoredGauges,
        readings: Callable[[], Iterable[Sample]],
        pipelines: PipelineLabels,
    ) -> None:
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Histogram,
            disable_created_metrics,
        )
        from prometheus_client.process_collector import ProcessCollector

        # They would double the number of series. It has no annotations.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._stored = stored
        self._readings = readings
        self._pipelines = pipelines
        self._version = version("headgate")
        self._begun: set[str] = set()
        self.registry: CollectorRegistry = CollectorRegistry(auto_describe=False)
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for entry in CATALOGUE:
            given = (entry.name, entry.meaning, entry.labels)
            if entry.kind == "histogram":
                made = Histogram(*given, buckets=entry.buckets, registry=self.registry)
                self._histograms[entry.name] = made
            elif entry.name in FED:
                self._counters[entry.name] = Counter(*given, registry=self.registry)
        self.registry.register(_Samples(self._samples))
        ProcessCollector(registry=self.registry)

    def turned(self, key: Key, seconds: float, result: TurnResult) -> None:
        """Count a turn."""
        self._histograms["headgate_turn_duration_seconds"].labels(key.kind, result).observe(seconds)

    def saved(self, _key: Key, before: Value | None, decision: Decision[Any]) -> None:
        """Count what is new in a decision."""
        if isinstance(decision.state, Run | EnvironmentState):
            self._begin(decision.state.pipeline)
        for event in events(before, decision.state, decision.facts):
            self._count(event)

    async def exposition(self, accept: str) -> Exposition:
        """All metrics, in the format that an `Accept` header asks for."""
        from prometheus_client.exposition import choose_encoder

        await self._stored.refresh()
        for pipeline in self._stored.pipelines:
            self._begin(pipeline)
        encode, content_type = choose_encoder(accept)
        # In a thread: with a thousand pipelines it takes longer than others should have to wait.
        return Exposition(await asyncio.to_thread(encode, self.registry), content_type)

    def _count(self, event: StepEnded | NodeDone | GateJudged | RunFinished | RolloutEnded) -> None:
        match event:
            case StepEnded(kind, result, seconds):
                self._observe("headgate_step_duration_seconds", seconds, kind, result)
            case NodeDone(pipeline, result):
                self._increase("headgate_steps_total", pipeline, result)
            case GateJudged(pipeline, gate, verdict):
                self._increase("headgate_gate_verdicts_total", pipeline, gate, str(verdict))
            case RunFinished(pipeline, outcome, seconds):
                self._increase("headgate_runs_total", pipeline, outcome)
                self._observe("headgate_run_duration_seconds", seconds, outcome)
            case RolloutEnded(pipeline, environment, outcome, seconds):
                self._increase("headgate_rollouts_total", pipeline, environment, outcome)
                self._observe("headgate_rollout_duration_seconds", seconds, environment, outcome)

    def _begin(self, pipeline: str) -> None:
        label = self._pipelines.label(pipeline)
        if label in self._begun:
            return
        self._begun.add(label)
        for name, labels in BEGIN_AT_0:
            self._counters[name].labels(label, *labels)

    def _increase(self, name: str, pipeline: str, *labels: str) -> None:
        self._counters[name].labels(self._pipelines.label(pipeline), *labels).inc()

    def _observe(self, name: str, seconds: float, *labels: str) -> None:
        self._histograms[name].labels(*labels).observe(seconds)

    def _samples(self) -> Iterator[Sample]:
        yield Sample("headgate_info", (self._version,), 1.0)
        yield from self._stored.samples()
        yield from self._readings()


class _Samples:
    """A collector of samples, by the catalogue."""

    def __init__(self, samples: Callable[[], Iterable[Sample]]) -> None:
        self._take = samples

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for name, labels, value in self._take():
            family = families.get(name)
            if family is None:
                entry = BY_NAME[name]
                kind = CounterMetricFamily if entry.kind == "counter" else GaugeMetricFamily
                family = families[name] = kind(name, entry.meaning, labels=entry.labels)
            family.add_metric(labels, value)
        yield from families.values()
