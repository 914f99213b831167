"""What our containers in a pod are told: an artifact, so that nobody can change it in between."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from controller.artifacts import Artifacts
from controller.artifacts.remote import RemoteArtifacts
from controller.buckets.protocol import ObjectChanged
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
from controller.executors.kubernetes.names import CHANGED, FAILED, UNAVAILABLE
from deployers.kubernetes.pods import PLAN, STORE
from specs.failures import NeedsHuman, TryAgain

MESSAGE_BYTES: Final = 4096
"""What Kubernetes keeps of the message with which a container ends."""
PATIENCE: Final = 600.0
"""Seconds for which a store that cannot be reached is asked again."""
TELL: Final = Path("/dev/termination-log")


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StoreAccess(_Told):
    """Where the artifact store is, and for whom things are kept there."""

    uri: str
    owner: str
    renew_after: float | None = None
    """As `RemoteArtifacts` has it."""
    stores: tuple[ObjectStore, ...] = ()
    """Stores with special settings, as in the controller's."""

    def open(self, cache: Path) -> Artifacts:
        """The artifact store, with its cache there."""
        remote = RemoteArtifacts(self.uri, Stores(self.stores), self.owner, self.renew_after)
        return Artifacts(cache, remote)


class PlannedInput(_Told):
    """An input of the step: an artifact, or a version of a dataset in an object store."""

    path: str
    """Where it is put, below the attempt's folder."""
    digest: str
    """Of the artifact, or the dataset version."""
    uri: str = ""
    """The dataset's address; empty for an artifact."""
    objects: str = ""
    """The artifact that lists the dataset's objects: a line of JSON with key, size and version
    for each."""


class FetchPlan(_Told):
    """All that `fetch` and `collect` do for an attempt."""

    node: str
    bundle: str
    """The artifact with the step's files, as a tar archive of the attempt's folder."""
    inputs: tuple[PlannedInput, ...] = ()
    outputs: Mapping[str, str] = {}
    """File names by output name."""
    folders: tuple[str, ...] = ()
    """Outputs that are folders."""


async def told(cache: Path) -> tuple[FetchPlan, Artifacts, StoreAccess]:
    """The plan of the attempt that this process works for. Raises `Failure`."""
    access = StoreAccess.model_validate_json(os.environ[STORE])
    artifacts = access.open(cache)
    plan = await artifacts.read_bytes(os.environ[PLAN])
    return FetchPlan.model_validate_json(plan), artifacts, access


def failure_of(error: Exception) -> dict[str, Any]:
    """A failure as a message that `interpret` reads."""
    if isinstance(error, ObjectChanged):
        return {CHANGED: f"{error}"}
    if isinstance(error, TryAgain):
        return {UNAVAILABLE: f"{error}"}
    if isinstance(error, NeedsHuman):
        return {FAILED: f"{error}"}
    return {FAILED: f"internal error ({type(error).__name__}: {error})"}


def tell(message: Mapping[str, Any], to: Path = TELL) -> None:
    """End with this message, cut to what Kubernetes keeps of it."""
    text = json.dumps(message, ensure_ascii=False)
    while len(text.encode()) > MESSAGE_BYTES:  # texts only; digests are never cut
        message = {key: str(said)[: len(str(said)) // 2] for key, said in message.items()}
        text = json.dumps(message, ensure_ascii=False)
    to.write_text(text, encoding="utf-8")


def persist(work: Callable[[], Coroutine[Any, Any, None]], to: Path = TELL) -> int:
    """Do it, again while a store cannot be reached; the exit code. What failed is told."""
    os.umask(0o022)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            asyncio.run(work())
        except TryAgain as error:
            again = not (error.human or isinstance(error, ObjectChanged))
            if again and time.monotonic() < until:
                time.sleep(min(error.after or 2.0, 30.0))
                continue
            tell(failure_of(error), to)
            return 1
        except Exception as error:  # each is told
            tell(failure_of(error), to)
            return 1
        return 0


def object_lines(content: bytes) -> Iterator[tuple[str, int, str]]:
    """Key, size and version of each object of a listing."""
    for line in content.splitlines():
        key, size, version = json.loads(line)
        yield key, size, version
