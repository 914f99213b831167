"""Starts the batch commands of releases."""

from collections.abc import Sequence

from controller.buckets.catalog import Catalog
from controller.buckets.places import base_folder
from controller.executors.protocol import Executor
from controller.git.repositories import Repositories
from controller.machine.actions import StartBatch
from controller.machine.core import Envelope, Key
from controller.machine.environments.job import attempt_of
from controller.machine.messages import BatchStarted
from controller.machine.pipelines.version import ModelVersion
from controller.store.model_versions import Versions
from specs.failures import NeedsHuman, TryAgain


class BatchApplier:
    """Applies `StartBatch`."""

    def __init__(
        self,
        versions: Versions,
        catalog: Catalog,
        repositories: Repositories,
        executor: Executor,
    ) -> None:
        self._versions = versions
        self._catalog = catalog
        self._repositories = repositories
        self._executor = executor

    async def apply(self, owner: Key, action: StartBatch) -> Sequence[Envelope]:
        """Pin the datasets as they are now, and start the command on them."""
        version = await self._versions.get(action.pipeline, action.version)
        if version is None or version.spec.release is None:
            raise NeedsHuman(f"v{action.version} of {action.pipeline} is not in the store")
        datasets = await self._datasets(version)
        attempt = attempt_of(version, action.environment, action.job, datasets)
        await self._executor.start(attempt)
        message = BatchStarted(job=action.job, attempt=attempt)
        return (Envelope(to=owner, id=f"started/{action.job}", message=message),)

    async def _datasets(self, version: ModelVersion) -> dict[str, str]:
        """The digest of each dataset that the command reads. One in the repository is read at the
        head of the version's branch. Raises `Failure`."""
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
                raise TryAgain(f"{uri}, which the batch reads as {name}, is still being written")
            if not len(listing.manifest):
                raise NeedsHuman(f"there is no object at {uri}, which the batch reads as {name}")
            found[name] = listing.manifest.digest
        return found
