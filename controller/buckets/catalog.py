"""Dataset versions that were listed: what each digest stands for, and where its objects are."""

import asyncio
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from controller.buckets.local import LocalBucket, place_of
from controller.buckets.protocol import Changed, Listing
from controller.shelf import discard_all, use
from specs.digests import Manifest, ManifestEntry
from specs.digests import digest as digest_of
from specs.failures import NeedsHuman


class Catalog:
    """Remembers the manifest of each dataset version, so that a digest is enough to read it."""

    def __init__(self, folder: Path, bucket: LocalBucket) -> None:
        self._folder = folder
        self._bucket = bucket

    async def list(
        self, uri: str, *, repository: Path | None = None, marker: str | None = None
    ) -> Listing:
        """What is there now; its manifest is remembered. Raises what `LocalBucket.list` raises."""
        listing = await self._bucket.list(uri, repository=repository, marker=marker)
        await asyncio.to_thread(self._remember, uri, repository, listing.manifest)
        return listing

    async def pinned(self, uri: str, digest: str) -> tuple[Path, Manifest]:
        """The folder that holds exactly the objects of a version, and their manifest.

        `uri` is the dataset's: another dataset may have held the same objects.

        Raises `NeedsHuman` for a version that was never listed here, and for one of which an
        object, named in the message, was changed before it could be copied.
        """
        repository, manifest = await asyncio.to_thread(self._recall, uri, digest)
        try:
            return await self._bucket.pin(uri, manifest, repository=repository), manifest
        except Changed as change:
            # That version will not come back, so trying again is for a new run.
            raise NeedsHuman(
                f"the data changed after this run was given its version: {change}. "
                "`headgate trigger` runs with what is there now"
            ) from None

    async def addresses(self, uri: str, digest: str) -> Mapping[ManifestEntry, str]:
        """Where each object of a version was listed, as a URI. Raises `NeedsHuman` for a version
        that was never listed here."""
        repository, manifest = await asyncio.to_thread(self._recall, uri, digest)
        folder = place_of(uri, repository).folder
        return {entry: (folder / entry.key).as_uri() for entry in manifest.entries}

    async def sweep(self, keep: Collection[str], before: float) -> int:
        """See `LocalBucket.sweep`; of what was neither listed nor read since, the manifest too."""
        await asyncio.to_thread(discard_all, self._folder, before)
        return await asyncio.to_thread(self._bucket.sweep, keep, before)

    def _recall(self, uri: str, digest: str) -> tuple[Path | None, Manifest]:
        try:
            use(self._path(uri, digest))
            kept = json.loads(self._path(uri, digest).read_text())
        except FileNotFoundError:
            raise NeedsHuman(
                f"the dataset version {digest[:19]} is not known here; trigger a run"
            ) from None
        manifest = Manifest(tuple(ManifestEntry(*entry) for entry in kept["entries"]))
        return Path(kept["repository"]) if kept["repository"] else None, manifest

    def _path(self, uri: str, digest: str) -> Path:
        return self._folder / f"{digest_of([uri, digest]).partition(':')[2]}.json"

    def _remember(self, uri: str, repository: Path | None, manifest: Manifest) -> None:
        path = self._path(uri, manifest.digest)
        if repository is None and use(path):
            return  # else it is written anew: the older checkout may be swept
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        entries = [[entry.key, entry.size, entry.version] for entry in manifest.entries]
        kept = {"uri": uri, "repository": str(repository or ""), "entries": entries}
        scratch.write_text(json.dumps(kept))
        scratch.replace(path)
