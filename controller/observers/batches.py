"""Starts batch commands of releases, and looks at how they fare."""

from collections.abc import Sequence
from datetime import UTC, datetime

from controller.buckets.catalog import Catalog
from controller.buckets.local import base_folder
from controller.executors.collector import AttemptCollector
from controller.executors.protocol import Executor
from controller.git.repositories import Repositories
from controller.machine.actions import StartBatch
from controller.machine.core import Key, Message
from controller.machine.environments.job import BatchJob, ObservedJob, attempt_of
from controller.machine.pipelines.version import ModelVersion
from controller.sources.crontab import Crontab
from controller.store.versions import Versions
from specs.failures import NeedsHuman, TryAgain


class Batches:
    """Applies `StartBatch`, and observes what it started."""

    def __init__(
        self,
        versions: Versions,
        catalog: Catalog,
        repositories: Repositories,
        executor: Executor,
        endings: AttemptCollector,
    ) -> None:
        self._versions = versions
        self._catalog = catalog
        self._repositories = repositories
        self._executor = executor
        self._endings = endings

    async def start(self, owner: Key, action: StartBatch) -> Sequence[Message]:
        """Pin the datasets as they are now, and start the command on them."""
        version = await self._versions.get(action.pipeline, action.version)
        if version is None or version.spec.release is None:
            raise NeedsHuman(f"v{action.version} of {action.pipeline} is not in the store")
        datasets = await self._datasets(version)
        attempt = attempt_of(version, action.environment, action.job, datasets)
        await self._executor.start(attempt)
        body = {"job": action.job, "attempt": attempt.plain()}
        id_ = f"started/{action.job}"
        return (Message(to=owner, id=id_, type="batch_started", body=body),)

    async def seen(self, job: BatchJob) -> ObservedJob | None:
        """What is known of a job that goes on; None before it was started."""
        if job.attempt is None:
            return None
        status = await self._executor.poll(job.id)
        if not status.state.ended:
            return ObservedJob(status=status)
        ending = await self._endings.collect(job.attempt, status, gate=False)
        return ObservedJob(
            status=ending.status, outputs=ending.outputs, uncollected=ending.uncollected
        )

    async def _datasets(self, version: ModelVersion) -> dict[str, str]:
        """The version of each dataset that the command reads; what lies in the repository, as it
        is on the version's branch now. Raises `Failure`."""
        spec, source = version.spec, version.source
        assert spec.release is not None
        assert spec.release.batch is not None
        mirror = self._repositories.mirror(source.repository)
        head = await mirror.resolve(version.branch) if version.branch else None
        found = {}
        for name in {one.dataset for one in spec.release.batch.inputs.values()}:
            uri = spec.datasets[name].uri or ""  # the lint wants one
            top = await self._repositories.folder(source.repository, head or source.commit)
            folder = base_folder(uri, top, source.folder)
            listing = await self._catalog.list(uri, repository=folder)
            if listing.unsettled:
                raise TryAgain(f"{uri}, which the batch reads as {name}, is being written")
            if not len(listing.manifest):
                raise NeedsHuman(f"there is no object at {uri}, which the batch reads as {name}")
            found[name] = listing.manifest.digest
        return found


def due(version: ModelVersion, after: float, now: float) -> float | None:
    """When the schedule of the version's batch last came after a moment, if it did."""
    release = version.spec.release
    batch = release.batch if release is not None else None
    if batch is None or batch.schedule is None:
        return None
    crontab = Crontab(batch.schedule.cron, batch.schedule.timezone)
    times = (datetime.fromtimestamp(one, UTC) for one in (after, now))
    found = crontab.latest_due(*times)
    return found.timestamp() if found is not None else None
