"""Dataset versions that were listed: what each digest stands for, and where its objects are."""

import asyncio
import json
from pathlib import Path

from controller.datasets import Listing, LocalBucket
from specs.digests import Manifest, ManifestEntry
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

    async def pinned(self, digest: str) -> tuple[Path, Manifest]:
        """The folder that holds exactly the objects of a version, and their manifest.

        Raises `NeedsHuman` for a version that was never listed here, and what `pin` raises.
        """
        path = self._path(digest)
        if not path.exists():
            raise NeedsHuman(f"the dataset version {digest[:19]} is not known here; trigger a run")
        kept = json.loads(path.read_text())
        manifest = Manifest(tuple(ManifestEntry(*entry) for entry in kept["entries"]))
        repository = Path(kept["repository"]) if kept["repository"] else None
        return await self._bucket.pin(kept["uri"], manifest, repository=repository), manifest

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest.partition(':')[2]}.json"

    def _remember(self, uri: str, repository: Path | None, manifest: Manifest) -> None:
        path = self._path(manifest.digest)
        if path.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        entries = [[entry.key, entry.size, entry.version] for entry in manifest.entries]
        kept = {"uri": uri, "repository": str(repository or ""), "entries": entries}
        scratch.write_text(json.dumps(kept))
        scratch.replace(path)
