"""Puts what a step needs into the artifact store, and says how it is run.

The files of a commit are one archive, made once for all attempts that read the same; artifacts are
named by their digests, and datasets in object stores by their addresses and versions: the pod
fetches those itself. Only datasets on this machine and in the repository, and tables, which are
more than their objects, are copied into the artifact store by the controller.
"""

import asyncio
import json
import tarfile
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple

from controller.artifacts.remote import RemoteArtifacts
from controller.buckets.stores import is_remote
from controller.config.settings import ObjectStore
from controller.executors.kubernetes.job import STEP, StepCommand, TransferCommand
from controller.executors.kubernetes.plan import FetchPlan, PlannedInput, StoreAccess
from controller.executors.step_files import StepFiles
from controller.executors.workspace import Workspace, step_variables, write_addresses
from controller.machine.runs.attempt import Attempt
from controller.machine.runs.dataset_nodes import DATA_OUTPUT
from specs.digests import digest
from specs.references import render, render_env

BUNDLES: Final = 256
"""How many archives are remembered."""


class StagedAttempt(NamedTuple):
    """An attempt that is ready to be run on a cluster."""

    step: StepCommand
    transfer: TransferCommand


class AttemptStaging:
    """Stages attempts by the artifact store."""

    def __init__(
        self, workspace: Workspace, remote: RemoteArtifacts, stores: tuple[ObjectStore, ...]
    ) -> None:
        self._workspace = workspace
        self._remote = remote
        self._stores = stores
        self._bundles: OrderedDict[str, str] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def stage(self, attempt: Attempt) -> StagedAttempt:
        """Put everything there. Idempotent. Raises `specs.failures.Failure`, and `TemplateError`
        for a placeholder without a value."""
        values = _values(attempt)
        step = StepCommand(
            render(attempt.command, values),
            str(STEP / "code" / attempt.folder),
            {**step_variables(attempt, STEP), **render_env(attempt.env, values)},
        )
        given = [await self._input(attempt, name) for name in attempt.inputs]
        plan = FetchPlan(
            node=attempt.node,
            bundle=await self._bundle(attempt),
            inputs=tuple(given),
            outputs=attempt.outputs,
            folders=attempt.folders,
        )
        stored = await self._workspace.artifacts.put_bytes(plan.model_dump_json().encode())
        remote = self._remote
        access = StoreAccess(
            uri=remote.uri,
            owner=remote.identity,
            renew_after=remote.renew_after,
            stores=self._stores,
        )
        told = access.model_dump_json(exclude_defaults=True)
        return StagedAttempt(step, TransferCommand(stored.digest, told))

    async def _bundle(self, attempt: Attempt) -> str:
        """The archive of the step's files."""
        about = (attempt.repository, attempt.commit, attempt.branch, attempt.folder)
        key = digest([*about, list(attempt.files)])
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self._bundles.get(key)
            if known is not None and await self._workspace.artifacts.has(known):
                return known
            checkout = await self._workspace.checkouts.folder(attempt.repository, attempt.commit)
            commit = await self._workspace.single_commit(attempt)
            write = StepFiles(attempt, Path(), checkout, commit)
            with tempfile.TemporaryDirectory(prefix="headgate-bundle-") as scratch:
                archive = Path(scratch) / "bundle.tar"
                await asyncio.to_thread(_archive, write, Path(scratch) / "files", archive)
                stored = await self._workspace.artifacts.put(archive)
            self._bundles[key] = stored.digest
            while len(self._bundles) > BUNDLES:
                self._locks.pop(self._bundles.popitem(last=False)[0], None)
            return stored.digest

    async def _input(self, attempt: Attempt, name: str) -> PlannedInput:
        given, artifacts = attempt.inputs[name], self._workspace.artifacts
        path = _input_path(attempt, name)
        if given.kind in ("taken", "artifact"):
            return PlannedInput(path=path, digest=given.digest)
        datasets = self._workspace.datasets
        found = await datasets.addresses(given.uri, given.digest)
        if given.access == "uri":
            with tempfile.TemporaryDirectory(prefix="headgate-addresses-") as scratch:
                listing = Path(scratch) / "addresses.json"
                await asyncio.to_thread(write_addresses, listing, given.name, found)
                return PlannedInput(path=path, digest=(await artifacts.put(listing)).digest)
        if is_remote(given.uri) and found.table is None:
            rows = ([one.key, one.size, one.version] for one, _ in found.objects)
            lines = await asyncio.to_thread(lambda: "".join(f"{json.dumps(r)}\n" for r in rows))
            objects = await artifacts.put_bytes(lines.encode())
            return PlannedInput(
                path=path, digest=given.digest, uri=given.uri, objects=objects.digest
            )
        folder, _ = await datasets.pinned(given.uri, given.digest)
        return PlannedInput(path=path, digest=(await artifacts.put(folder)).digest)


def _input_path(attempt: Attempt, name: str) -> str:
    """Where an input is put, below the attempt's folder."""
    given = attempt.inputs[name]
    if given.kind == "dataset":
        return f"inputs/{name}.json" if given.access == "uri" else f"inputs/{name}"
    if given.kind == "artifact":
        return f"inputs/{name}/{given.name or name}"
    return f"inputs/{name}/{given.name}" if given.name else f"inputs/{name}"


def _values(attempt: Attempt) -> dict[str, str]:
    """The values of the placeholders, as the step sees them."""
    outputs = {name: f"{STEP}/outputs/{file}" for name, file in attempt.outputs.items()}
    taken = {n for n, one in attempt.inputs.items() if one.kind == "taken"}
    inputs = {
        name: f"{STEP}/inputs/{name}" if name in taken else f"{STEP}/{_input_path(attempt, name)}"
        for name in attempt.inputs
    }
    return {
        **({"output": outputs[DATA_OUTPUT]} if DATA_OUTPUT in outputs else {}),
        **{f"params.{name}": value for name, value in attempt.params.items()},
        **{f"outputs.{name}": path for name, path in outputs.items()},
        **{f"inputs.{name}": path for name, path in inputs.items()},
        "root": f"{STEP}/code",
    }


def _archive(files: StepFiles, folder: Path, archive: Path) -> None:
    """Write the files and archive them: equal files, equal archives. Blocking."""
    files._replace(own=folder).write()
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as into:
        for name in ("code", ".git"):
            into.add(folder / name, name, filter=plain_entry)


def plain_entry(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry of an archive without what differs from one machine to another."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
