"""Finds what datasets hold now, for pipelines and for the source that watches them."""

from contextlib import suppress
from pathlib import Path

from controller.buckets.catalog import Catalog
from controller.buckets.places import base_folder, is_relative, place_of
from controller.buckets.stores import CredentialsRefused, is_remote
from controller.machine.core import Blocked
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import DatasetListing
from controller.queries.polling import QueryVersions
from controller.sources.bucket import WatchedDataset
from specs.datasets import Query
from specs.failures import NeedsHuman, TryAgain


def is_committed(code: Code, name: str) -> bool:
    """Whether a dataset of a valid spec is in the repository, so that a checkout is needed."""
    return code.spec is not None and is_relative(code.spec.datasets[name].uri or "/")


def watched(code: Code, name: str, top: Path | None) -> WatchedDataset:
    """A dataset of a valid spec. `top` is the folder with the commit's files; it is only needed
    for a dataset in the repository."""
    spec = code.spec
    assert spec is not None, "only a spec that is valid names datasets"
    dataset, trigger = spec.datasets[name], spec.triggers.data
    if dataset.query is not None:
        return WatchedDataset(query=dataset.query)
    marker = trigger.marker if trigger and name in trigger.datasets else None
    uri = dataset.uri or ""
    if is_remote(uri):
        return WatchedDataset(uri, marker=marker)
    base = base_folder(uri, top, code.source.folder) if top is not None else None
    with suppress(NeedsHuman):  # which the listing says, too
        place = place_of(uri, base)
        if not place.committed:
            return WatchedDataset(uri, marker=marker, folder=place.folder)
    return WatchedDataset(uri, base, marker)


class DatasetObserver:
    """Lists objects, and asks databases for the versions of queries."""

    def __init__(self, catalog: Catalog, query_versions: QueryVersions) -> None:
        self._catalog = catalog
        self._query_versions = query_versions

    async def look(self, dataset: WatchedDataset) -> DatasetListing:
        """What a dataset holds, without when it was listed: equal if nothing changed."""
        return comparable(await self.listing(dataset))

    async def listing(self, dataset: WatchedDataset) -> DatasetListing:
        """What a dataset holds now. A failure is part of that: the pipeline reports it."""
        if dataset.query is not None:
            return await self._query_version(dataset.query)
        return await self._objects(dataset.uri, dataset.base, dataset.marker)

    def forget(self) -> None:
        """List folders and ask databases again the next time, however recent the last answers."""
        self._catalog.forget()
        self._query_versions.forget()

    async def _query_version(self, query: Query) -> DatasetListing:
        try:
            digest, at = await self._query_versions.now(query)
        except (NeedsHuman, TryAgain) as failure:
            waits = Blocked(reason=str(failure), human=isinstance(failure, NeedsHuman))
            return DatasetListing(problem=str(failure), waits=waits)
        return DatasetListing(digest=digest, at=at, whole=True)

    async def _objects(self, uri: str, base: Path | None, marker: str | None) -> DatasetListing:
        try:
            listing = await self._catalog.list(uri, repository=base, marker=marker)
        except (NeedsHuman, TryAgain) as failure:
            away = is_remote(uri) and isinstance(failure, TryAgain | CredentialsRefused)
            waits = (
                Blocked(reason=str(failure), human=isinstance(failure, CredentialsRefused))
                if away
                else None
            )
            return DatasetListing(problem=str(failure), waits=waits)
        if not len(listing.manifest):
            being = " (it is being written)" if listing.unsettled else ""
            return DatasetListing(settled=False, problem=f"there is no object at {uri} yet{being}")
        return DatasetListing(
            digest=listing.manifest.digest,
            settled=not listing.unsettled,
            marked=bool(listing.marked),
            unmarked=listing.unmarked,
            at=listing.at,
            whole=listing.whole,
        )


def comparable(listing: DatasetListing) -> DatasetListing:
    """A listing without when it was made."""
    return listing.model_copy(update={"at": None})


def named(listing: DatasetListing, dataset: str) -> DatasetListing:
    """The listing of a query, with the dataset's name in what failed."""
    if listing.waits is None:
        return listing
    said = f"datasets.{dataset}: {listing.problem}"
    waits = listing.waits.model_copy(update={"reason": said})
    return listing.model_copy(update={"problem": said, "waits": waits})
