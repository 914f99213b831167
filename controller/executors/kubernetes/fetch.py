"""The first container of a pod: writes the files and inputs that the plan lists.

It ends with 0, or with 1 and a message about why the step cannot begin.
"""

import asyncio
import os
import shutil
import sys
import tarfile
import time
from pathlib import Path

from controller.artifacts import Artifacts
from controller.buckets.remote import RemoteBucket
from controller.buckets.stores import Stores
from controller.executors.kubernetes.job import STEP
from controller.executors.kubernetes.plan import (
    FetchPlan,
    PlannedInput,
    object_lines,
    persist,
    told,
)
from deployers.kubernetes.pods import WHOLE
from specs.digests import Manifest, ManifestEntry


async def fetch(whole: Path) -> None:
    """Fetch everything to the volume. Raises `Failure`."""
    cache = whole / "fetched"
    own = whole / STEP.name
    plan, artifacts, access = await told(cache / "artifacts")
    await _files(artifacts, plan, own, cache)
    buckets = RemoteBucket(cache / "manifests", cache / "data", Stores(access.stores), time.time)
    for each in plan.inputs:
        if each.uri:
            await _dataset(artifacts, buckets, each, own)
        else:
            await artifacts.link(each.digest, own / each.path)
            await asyncio.to_thread(_protect, own / each.path)
    shutil.rmtree(cache, ignore_errors=True)  # what is needed of it are links or copies


async def _files(artifacts: Artifacts, plan: FetchPlan, own: Path, cache: Path) -> None:
    archive = cache / "bundle.tar"
    await artifacts.link(plan.bundle, archive)
    await asyncio.to_thread(_unpack, archive, plan, own)


def _unpack(archive: Path, plan: FetchPlan, own: Path) -> None:
    own.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as files:
        # A link of the repository may lead anywhere; it is followed inside the step's container.
        files.extractall(own, filter="fully_trusted")  # noqa: S202 - this controller made it
    for name in ("inputs", "outputs", "scratch"):
        (own / name).mkdir(exist_ok=True)
    for name, file in plan.outputs.items():
        path = own / "outputs" / file
        (path if name in plan.folders else path.parent).mkdir(parents=True, exist_ok=True)


def _protect(path: Path) -> None:
    """Let nothing be written into a folder, as nothing can into files from the store."""
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(0o555)


async def _dataset(
    artifacts: Artifacts, buckets: RemoteBucket, given: PlannedInput, own: Path
) -> None:
    listed = await artifacts.read_bytes(given.objects)
    manifest = Manifest(tuple(ManifestEntry(*row) for row in object_lines(listed)))
    folder = await buckets.pin(given.uri, manifest)
    target = own / given.path
    if target.exists():  # this is tried again
        target.chmod(0o700)
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # a folder that may not be written to cannot be moved
    folder.rename(target)
    target.chmod(0o555)


def main() -> int:
    """The container's program; its exit code."""
    return persist(lambda: fetch(Path(WHOLE)))


if __name__ == "__main__":
    sys.exit(main())
