"""Puts what a model server on a cluster needs into the artifact store, where its pods find it.

The model is there already. The files of the commit are one archive, made once for a version.
"""

import asyncio
import json
import tarfile
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from controller.artifacts import Artifacts
from controller.artifacts.remote import RemoteArtifacts
from controller.config.settings import ObjectStore
from controller.executors.kubernetes.plan import FetchPlan, PlannedInput, StoreAccess
from controller.executors.kubernetes.staging import plain_entry
from deployers.protocol import Shipment

SHIPPED: Final = "shipment.json"
"""The file, in the folder with a version's server, that says what was stored for it."""
# -P: nothing is imported from the working directory.
_COMMAND: Final = ("python", "-P", "-m", "controller.executors.kubernetes.fetch")


class Shipper:
    """Ships versions by the artifact store of a controller."""

    def __init__(
        self, artifacts: Artifacts, remote: RemoteArtifacts, stores: tuple[ObjectStore, ...]
    ) -> None:
        self._artifacts = artifacts
        self._remote = remote
        self._stores = stores

    async def ship(self, digest: str, name: str, code: Path, folder: str) -> Shipment:
        """Store what is not stored yet of a model, by its digest and file name, and of its server's
        files, which have their places in the repository below `code`; `folder` is the spec's there.
        Raises `specs.failures.Failure`."""
        known = code.parent / SHIPPED
        model = f"inputs/model/{name}"
        plan = await self._known(known)
        if plan is None:
            with tempfile.TemporaryDirectory(prefix="headgate-bundle-") as scratch:
                archive = Path(scratch) / "bundle.tar"
                await asyncio.to_thread(_archive, code, archive)
                bundle = (await self._artifacts.put(archive)).digest
            inputs = (PlannedInput(path=model, digest=digest),)
            node = f"serve {code.parent.name}"  # no two versions have the same plan
            told = FetchPlan(node=node, bundle=bundle, inputs=inputs, outputs={})
            plan = (await self._artifacts.put_bytes(told.model_dump_json().encode())).digest
            scratch_file = known.with_suffix(".new")
            scratch_file.write_text(json.dumps([plan, bundle]))
            scratch_file.replace(known)
        access = StoreAccess(uri=self._remote.uri, owner=self._remote.identity, stores=self._stores)
        return Shipment(
            command=_COMMAND,
            plan=plan,
            store=access.model_dump_json(exclude_defaults=True),
            model=model,
            root="code",
            folder=f"code/{folder}" if folder else "code",
            artifact=digest,
            address=self._remote.address(plan),
        )

    async def publish(self, digest: str, model: Path, folder: str) -> Shipment:
        """Store a model, a file or a folder, under its own name, for servers that know neither
        digests nor Headgate. `folder` is the version's own."""
        files = await asyncio.to_thread(_files, model)
        address = await asyncio.to_thread(self._remote.publish, folder, files)
        return Shipment(
            command=(),
            plan="",
            store="",
            model=model.name,
            root="",
            folder="",
            artifact=digest,
            address=address,
        )

    def withdraw(self, keep: Collection[str], before: float) -> int:
        """Delete what was published in other folders, before then; how many files. Blocking."""
        return self._remote.withdraw(keep, before)

    async def _known(self, file: Path) -> str | None:
        """The plan that was stored before, if all of it is still there."""
        stored = shipped(file.parent)
        if not stored or await self._artifacts.lacking(stored):
            return None
        return stored[0]


def _files(model: Path) -> dict[str, Path]:
    """The files of a model, by their paths in it. Blocking."""
    if model.is_file():
        return {model.name: model}
    found = (each for each in model.rglob("*") if each.is_file())
    return {each.relative_to(model).as_posix(): each for each in found}


def shipped(folder: Path) -> list[str]:
    """The digests of what was stored for the version with its server in this folder, the plan
    first; empty if nothing was."""
    try:
        return list(json.loads((folder / SHIPPED).read_text()))
    except (OSError, ValueError):
        return []


def _archive(code: Path, archive: Path) -> None:
    """Equal files, equal archives. Blocking."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as into:
        into.add(code, "code", filter=plain_entry)
