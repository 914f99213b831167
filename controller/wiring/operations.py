"""What operators see of a controller: probes, metrics and traces, wired to what they tell of."""

from collections.abc import Iterator
from itertools import product
from typing import Protocol, get_args

from controller.config.secrets import Secrets
from controller.config.settings import Settings
from controller.git.command import ERRORS
from controller.github.transport import Transport
from controller.notify.applier import RESULTS, NotifyApplier
from controller.notify.save_monitor import SaveMonitor
from controller.reconcile.liveness import stuck
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import RuntimePolicy
from controller.sources.watch import Watcher
from controller.store.model_versions import Versions
from controller.store.protocol import Store
from controller.telemetry.catalogue import PipelineLabels
from controller.telemetry.gauges import Sample
from controller.telemetry.registry import ControllerMetrics
from controller.telemetry.stored import StoredGauges
from controller.telemetry.traces import Otlp, TraceExport
from controller.web import operations, server
from controller.wiring.github import OnGitHub
from specs.notifications import NotifyEvent

_COUNTS = {
    "saves": "headgate_saves_total",
    "conflicts": "headgate_conflicts_total",
    "internal_errors": "headgate_internal_errors_total",
}
_ACTIONS = ("acknowledged", "postponed", "failed")


class Observed(Protocol):
    """The parts of a controller that are looked at."""

    settings: Settings
    policy: RuntimePolicy
    secrets: Secrets
    versions: Versions
    watch: Watcher
    notifier: NotifyApplier
    save_monitor: SaveMonitor

    @property
    def store(self) -> Store: ...
    @property
    def github(self) -> OnGitHub | None: ...


class Operations:
    """Probes, metrics and traces of one controller. Without `http.port` in the settings there is
    nothing to count, and `metrics` is None."""

    def __init__(self, app: Observed) -> None:
        self._app = app
        self._loop: Loop | None = None
        self.metrics: ControllerMetrics | None = None
        if app.settings.http.port is None:
            return
        pipelines = PipelineLabels()
        self._stored = StoredGauges(app.store, app.versions, pipelines, app.policy.clock)
        self.metrics = ControllerMetrics(self._stored, self._readings, pipelines)

    async def trace(self) -> None:
        """Export traces until cancelled, if the settings name a collector. Raises `NeedsHuman` if
        that cannot be: the extra is missing, or a secret."""
        tracing = self._app.settings.tracing
        if tracing.endpoint is None:
            return
        secrets = self._app.secrets
        headers = {name: secrets.expand(text) for name, text in tracing.headers.items()}
        otlp = Otlp(tracing.endpoint, headers)
        try:
            await TraceExport(self._app.store, otlp, secrets.redact, self._app.policy).run()
        finally:
            otlp.close()

    async def serve(self, loop: Loop) -> None:
        """Serve the port until cancelled, if the settings have one. Raises `NeedsHuman` if the
        address cannot be used."""
        http = self._app.settings.http
        if http.port is None or self.metrics is None:
            return
        self._loop = loop
        listening = server.bind(http.host, http.port)
        app = operations.application(
            lambda: stuck(loop), lambda: self._unready(loop), self.metrics.exposition
        )
        try:
            await server.serve(app, listening)
        finally:
            await self._stored.close()

    def _unready(self, loop: Loop) -> str:
        if not loop.begun:
            return "the controller is reading its state"
        problem = self._app.save_monitor.problem
        return f"the controller cannot save: {self._app.secrets.redact(problem)}" if problem else ""

    def _readings(self) -> Iterator[Sample]:
        """What is counted by those whose work it is."""
        app, loop = self._app, self._loop
        if loop is not None:
            yield from _of_loop(loop)
        can_save = not app.save_monitor.problem
        yield Sample("headgate_can_save", (), can_save)
        yield Sample("headgate_sources_failing", (), len(app.watch.problems))
        for name, reachable in app.watch.reachable().items():
            yield Sample("headgate_repository_reachable", (name,), reachable)
        for kind, count in [*ERRORS.items()]:
            yield Sample("headgate_git_errors_total", (kind,), count)
        for labels in product(get_args(NotifyEvent), RESULTS):
            yield Sample("headgate_notifications_total", labels, app.notifier.counts[labels])
        if app.github is not None:
            yield from _of_forge("github", app.github.transport)


def _of_loop(loop: Loop) -> Iterator[Sample]:
    for name, metric in _COUNTS.items():
        yield Sample(metric, (), loop.counts[name])
    for result in _ACTIONS:
        yield Sample("headgate_actions_total", (result,), loop.counts[result])
    for queue, depth in loop.depth.items():
        yield Sample("headgate_queue_depth", (queue,), depth)
    yield Sample("headgate_unreadable_objects", (), len(loop.parked))


def _of_forge(api: str, transport: Transport) -> Iterator[Sample]:
    yield Sample("headgate_api_requests_total", (api,), transport.asked)
    for kind, count in [*transport.errors.items()]:
        yield Sample("headgate_api_errors_total", (api, kind), count)
    budgets = [one.remaining for one in [*transport.budgets.values()]]
    if budgets:
        yield Sample("headgate_api_budget_remaining", (api,), min(budgets))
