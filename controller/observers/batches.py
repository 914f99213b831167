"""Observes the batch commands of releases."""

from datetime import UTC, datetime

from controller.executors.collector import AttemptCollector
from controller.executors.protocol import Executor
from controller.machine.environments.job import BatchJob, ObservedJob
from controller.machine.pipelines.version import ModelVersion
from controller.sources.crontab import Crontab


class BatchObserver:
    """Asks the executor."""

    def __init__(self, executor: Executor, collector: AttemptCollector) -> None:
        self._executor = executor
        self._collector = collector

    async def observe(self, job: BatchJob) -> ObservedJob | None:
        """What is known of a running job; None before it was started."""
        if job.attempt is None:
            return None
        status = await self._executor.poll(job.id)
        if not status.state.ended:
            return ObservedJob(status=status)
        ending = await self._collector.collect(job.attempt, status, gate=False)
        return ObservedJob(
            status=ending.status, outputs=ending.outputs, uncollected=ending.uncollected
        )


def due(version: ModelVersion, after: float, now: float) -> float | None:
    """When the version's batch schedule last came, if that was after `after`."""
    crontab = _schedule(version)
    times = (datetime.fromtimestamp(one, UTC) for one in (after, now))
    found = crontab.latest_due(*times) if crontab else None
    return found.timestamp() if found is not None else None


def next_due(version: ModelVersion, now: float) -> float | None:
    """When it comes next."""
    crontab = _schedule(version)
    found = crontab.next_due(datetime.fromtimestamp(now, UTC)) if crontab else None
    return found.timestamp() if found is not None else None


def _schedule(version: ModelVersion) -> Crontab | None:
    release = version.spec.release
    batch = release.batch if release is not None else None
    if batch is None or batch.schedule is None:
        return None
    return Crontab(batch.schedule.cron, batch.schedule.timezone)
