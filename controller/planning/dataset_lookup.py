"""Looks up the current versions of datasets for a plan, and how their objects changed."""

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from controller.buckets.catalog import DATASETS, Catalog
from controller.buckets.changes import differ
from controller.buckets.places import base_folder, place_of
from controller.buckets.stores import Stores, is_remote
from controller.machine.pipelines.data import place
from controller.machine.pipelines.dataset_changes import ObjectChanges
from controller.machine.runs.graph import SourceTree
from controller.planning.plans import History
from controller.queries.polling import QueryVersions
from specs.datasets import Query
from specs.digests import ManifestEntry
from specs.failures import Failure, NeedsHuman
from specs.model import Pipeline as Spec


class FoundDataset(NamedTuple):
    """The result of looking up a dataset."""

    version: str | None
    problem: str | None = None
    """Why the version is unknown."""
    moved: ObjectChanges | None = None
    """How its objects changed since the earlier run."""


class DatasetLookup(NamedTuple):
    """Looks up dataset versions."""

    top: Path
    history: History
    stores: Stores
    queries: QueryVersions | None
    home: Path | None
    """The controller's home folder, which has the manifests of former versions."""

    async def look(self, spec: Spec, name: str, source: SourceTree) -> FoundDataset:
        """The version that a run would pin: listed here or, failing that, the last one that the
        controller saw; or why it is unknown."""
        dataset = spec.datasets[name]
        if not dataset.is_versioned:
            return FoundDataset(None, "its version is set by the run that fetches it")
        try:
            if dataset.query is not None:
                return FoundDataset(await self._queried(dataset.query))
            found = await self._listed(name, dataset.uri or "", source)
            if found is not None:
                return found
            problem = f"there is no object at {dataset.uri}"
        except Failure as failure:
            problem = str(failure)
        state = self.history.state
        seen = state.data.get(place(spec, name, source.commit)) if state else None
        if seen is not None and seen.ready is not None:
            return FoundDataset(seen.ready)
        return FoundDataset(None, problem)

    async def _listed(self, name: str, uri: str, source: SourceTree) -> FoundDataset | None:
        root = base_folder(uri, self.top, source.folder)
        with tempfile.TemporaryDirectory(prefix="headgate-plan-") as scratch:
            # A plan does not wait for files to settle; files that change meanwhile are left out.
            catalog = Catalog(Path(scratch), self.stores, wall=lambda: 0.0)
            manifest = (await catalog.list(uri, repository=root)).manifest
            if not len(manifest):
                return None
            version = manifest.digest
            earlier = self.history.earlier
            was = earlier.datasets.get(name) if earlier else None
            if was is None or was == version:
                return FoundDataset(version)
            now = await catalog.manifest(uri, version)
            return FoundDataset(version, moved=await self._moved(uri, was, now, root))

    async def _moved(
        self, uri: str, was: str, now: Iterable[ManifestEntry], root: Path
    ) -> ObjectChanges | None:
        if self.home is None:
            return None
        try:
            before = await Catalog(self.home / DATASETS, self.stores).manifest(uri, was)
        except NeedsHuman:  # no longer known
            return None
        folder = None if is_remote(uri) else place_of(uri, root).folder
        return await asyncio.to_thread(differ, uri, before, now, folder, self.stores)

    async def _queried(self, query: Query) -> str:
        """The version of the result of a query. Raises Failure."""
        if self.queries is None:
            raise NeedsHuman("the database was not queried")
        try:
            digest, _ = await self.queries.now(query)
        except Failure as failure:
            raise NeedsHuman(f"the database was not queried: {failure}") from None
        return digest
