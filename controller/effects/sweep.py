"""Deletes from the home folder what is no longer needed, by the rules of `machine.retention`.

It cannot delete what a run is about to use. A run that reuses a result first asks for it
(`Artifacts.has`), which renews its last use under the lock that a sweep holds while it checks and
deletes. If the run asks first, the result is kept; if the sweep comes first, the step is run. The
store names the result within one reconcile, which takes minutes at most, and `keep` is at least an
hour. While a run is in progress, nothing is deleted that was used since it was created.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from controller.artifacts import Artifacts
from controller.blobs.last_use import discard_all
from controller.buckets.catalog import Catalog
from controller.effects.serving import Serving
from controller.executors.requirements import name_of_text, names_of
from controller.executors.virtualenvs import Virtualenvs
from controller.git import Mirror
from controller.git.environments import BRANCH
from controller.machine.core import Key, parsed
from controller.machine.environments.environment import server_name
from controller.machine.environments.job import owner_of
from controller.machine.pipelines.version import ModelVersion
from controller.machine.retention import Kept, StoredReferences, runs_of, what_to_keep
from controller.machine.runs.projects import recipe_of
from controller.machine.runs.run import Run
from controller.store.protocol import Delivered, Store
from deployers.engine import Engine
from deployers.processes import Processes, ProcessState
from deployers.protocol import Deployer
from specs.failures import Failure, NeedsHuman

log = structlog.get_logger("headgate.sweep")

PATIENCE = 30.0
"""Seconds that a killed process may take to end."""


class Sweeper:
    """Sweeps the home folder of one controller."""

    def __init__(
        self,
        store: Store,
        deployer: Deployer,
        attempts: Processes,
        artifacts: Artifacts,
        catalog: Catalog,
        virtualenvs: Virtualenvs,
        serving: Serving,
        mirrors: Mapping[str, Mirror],
        checkouts: Path,
        engine: Engine,
        reap: Callable[[], Awaitable[int]],
    ) -> None:
        """`reap` removes the containers of attempts without an owner, and returns how many."""
        self._store = store
        self._deployer = deployer
        self._attempts = attempts
        self._artifacts = artifacts
        self._catalog = catalog
        self._virtualenvs = virtualenvs
        self._serving = serving
        self._mirrors = mirrors
        self._checkouts = checkouts
        self._engine = engine
        self._reap = reap

    async def sweep(self, keep: float, now: float) -> Mapping[str, int]:
        """Delete what is not needed and was not used for `keep` seconds; `now` is in seconds since
        the epoch. Returns how much of each kind was deleted.

        Raises `NeedsHuman`, before anything is deleted, if it cannot be known what is needed.
        """
        stays = what_to_keep(await self._stored(), keep, now)
        await self._refuse_if_strangers_serve(stays)
        environments = await self._environments(stays.versions)
        names, before = stays.names, stays.before
        digests = {f"sha256:{name}" for name in names if len(name) == 64}
        gone = {
            "attempts": await self._sweep_attempts(stays),
            "containers": await self._reap_containers(),
            "images": await self._sweep_images(names, before),
            "environments": await asyncio.to_thread(self._virtualenvs.sweep, environments, before),
            "servers": await asyncio.to_thread(self._serving.sweep, stays.versions, before),
            "server_logs": await self._deployer.forget_logs(before),
            "datasets": await self._catalog.sweep(names, before),
            "checkouts": await asyncio.to_thread(self._sweep_checkouts, stays),
            "lfs_objects": await asyncio.to_thread(self._sweep_lfs, before),
            "artifact_bytes": await self._artifacts.sweep(digests, before),
        }
        if any(gone.values()):
            log.info("deleted what is no longer needed", **gone)
        return gone

    async def forget_strangers(self) -> None:
        """End and delete attempts of runs that the store does not know. Call it before any starts.

        A run is saved before its first attempt starts, so the state was lost or restored from a
        backup. New runs get the same numbers, and would take these results for their own.
        Raises `NeedsHuman` if an attempt does not end.
        """
        owners = {name: owner_of(name) for name in self._attempts.names()}
        known = await self._known(owners.values())
        strangers = [name for name, owner in owners.items() if owner not in known]
        if strangers:
            await self._forget(strangers)
        await self._reap_containers()

    async def _known(self, keys: Iterable[Key]) -> set[Key]:
        """Those of them that the store has."""
        wanted: dict[str, set[str]] = {}
        for key in keys:
            wanted.setdefault(key.kind, set()).add(key.name)
        return {
            Key(kind, name)
            for kind, names in wanted.items()
            for name in await self._store.get_all(kind, names)
        }

    async def _forget(self, strangers: Sequence[str]) -> None:
        log.warning(
            "attempts of runs that the state does not know are ended and deleted; was it lost?",
            attempts=len(strangers),
        )
        for name in strangers:
            self._attempts.stop(name, grace=0.0)
        for name in strangers:
            await self._until_ended(name)
            await asyncio.to_thread(self._attempts.remove, name)

    async def _reap_containers(self) -> int:
        """Remove the containers of unknown attempts; how many."""
        try:
            return await self._reap() + await self._deployer.reap()
        except Failure as failure:  # their names are never reused, so this can wait
            log.warning("containers without an owner are not removed yet", reason=str(failure))
            return 0

    async def _sweep_images(self, names: Collection[str], before: float) -> int:
        try:
            return await self._engine.sweep(names, before)
        except Failure as failure:
            log.warning("unused images are not removed yet", reason=str(failure))
            return 0

    async def _until_ended(self, attempt: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while self._attempts.status(attempt).state is ProcessState.RUNNING:  # noqa: ASYNC110 - its end is seen in files
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NeedsHuman(
                f"attempt {attempt}, which the state does not know, was killed and does not end; "
                "end its processes, then start the controller again"
            ) from None

    async def _stored(self) -> StoredReferences:
        runs = {each.key.name: each for each in await self._store.list("run", live=True)}
        actions, messages = await self._store.outbox(), await self._store.inbox()
        pending = [each.action for each in actions] + [
            body for each in messages if (body := _body(each))
        ]
        for name in sorted(runs_of(pending) - runs.keys()):
            record = await self._store.get(Key("run", name))
            runs |= {name: record} if record else {}
        graphs = [await self._store.get(Key("graph", name)) for name in runs]
        objects: list[Mapping[str, Any]] = []
        for kind in ("pipeline", "environment"):
            objects += [each.body for each in await self._store.list(kind)]
        models = await self._store.list("model")
        return StoredReferences(
            runs=tuple(parsed(Run, each.body) for each in runs.values()),
            graphs=tuple(each.body for each in graphs if each),
            pending=tuple(pending),
            objects=tuple(objects),
            versions=tuple(parsed(ModelVersion, each.body) for each in models),
        )

    async def _refuse_if_strangers_serve(self, stays: Kept) -> None:
        """If a server of an unknown version is running, the state was lost."""
        for place in sorted(await self._places()):
            known = {server_name(place, one.ref) for one in stays.versions}
            seen = await self._deployer.observe(place)
            strangers = {each.name for each in seen.servers if each.alive} - known
            if strangers:
                raise NeedsHuman(
                    f"{place} runs {', '.join(sorted(strangers))}, which the state does not "
                    "know: nothing is deleted until that is fixed"
                )

    async def _places(self) -> set[str]:
        """Environments in which something may run: those of the state, and those that only the
        environments branches have, in case the state was lost."""
        places = {record.key.name for record in await self._store.list("environment")}
        for mirror in self._mirrors.values():
            tip = await mirror.resolve(BRANCH)
            paths = await mirror.files(tip) if tip else {}
            parts = [path.removesuffix(".yaml").split("/") for path in paths]
            places |= {f"{part[1]}/{part[0]}" for part in parts if len(part) == 2}
        return places

    async def _environments(self, versions: Sequence[ModelVersion]) -> set[str]:
        """The names of the environments that the versions run in. Raises `NeedsHuman`."""
        found = set[str]()
        for version in versions:
            recipe = recipe_of(version.spec, version.source)
            if recipe is not None:
                found.update(names_of(recipe))
            else:
                found.add(name_of_text(await self._requirements(version)))
        return found

    async def _requirements(self, version: ModelVersion) -> str:
        """The requirements file of a version. Raises `NeedsHuman`."""
        path, source = version.spec.environment.requirements, version.source
        if path is None:
            return ""
        mirror = self._mirrors.get(source.repository)
        text = await mirror.read(source.commit, source.within(path)) if mirror else None
        if text is None:
            raise NeedsHuman(
                f"what {version.pipeline} v{version.number} requires cannot be read: is "
                f"{source.repository} still among the `repositories`?"
            )
        with io.TextIOWrapper(io.BytesIO(text), "utf-8", errors="replace") as file:
            return file.read()  # line ends are translated as in `read_requirements`

    async def _sweep_attempts(self, stays: Kept) -> int:
        """Delete what attempts of ended runs left: logs, outputs, folders; how many."""
        gone = 0
        for name in self._attempts.names():
            last_used = self._attempts.log(name).parent.lstat().st_ctime
            if name.partition(".")[0] in stays.runs or last_used >= stays.before:
                continue
            if self._attempts.status(name).state is not ProcessState.RUNNING:
                await asyncio.to_thread(self._attempts.remove, name)
                gone += 1
        return gone

    def _sweep_checkouts(self, stays: Kept) -> int:
        return sum(
            discard_all(self._checkouts / name, stays.before, stays.names) for name in self._mirrors
        )

    def _sweep_lfs(self, before: float) -> int:
        return sum(mirror.sweep(before) for mirror in self._mirrors.values())


def _body(message: Delivered) -> dict[str, Any]:
    """What a message says; nothing where it cannot be read, as its object sets it aside."""
    try:
        return message.body
    except ValueError:
        return {}
