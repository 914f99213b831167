"""Deletes from the home folder and the store what is no longer needed, by the rules of
`machine.retention`.

It cannot delete what a run is about to use. A run that reuses a result first asks for it
(`Artifacts.has`), which renews its last use under the lock that a sweep holds while it checks and
deletes. If the run asks first, the result is kept; if the sweep comes first, the step is run. The
store names the result within one reconcile, which takes minutes at most, and `keep` is at least an
hour. While a run is in progress, nothing is deleted that was used since it was created.
"""

import asyncio
import io
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
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
from controller.machine.retention import (
    REPEATED,
    Kept,
    Stated,
    StoredReferences,
    pipeline_of,
    runs_of,
    versions_of,
    what_to_keep,
)
from controller.machine.runs.projects import recipe_of
from controller.machine.runs.run import RENEWED, Run
from controller.reconcile.stalls import KIND as STALL
from controller.store.database import DatabaseStore
from controller.store.protocol import Delivered
from controller.store.rows import text
from controller.store.run_numbers import last_number, split
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
        store: DatabaseStore,
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

    async def sweep(self, keep: float, now: float, *, leads: bool = True) -> Mapping[str, int]:
        """Delete what is not needed and was not used for `keep` seconds; `now` is in seconds since
        the epoch. Returns how much of each kind was deleted. What several controllers share is left
        to the one that `leads`.

        Raises `NeedsHuman`, before anything is deleted, if it cannot be known what is needed.
        """
        stays = what_to_keep(await self._stored(), keep, now)
        await self._refuse_if_strangers_serve(stays)
        environments = await self._environments(stays.versions)
        names, before = stays.names, stays.before
        digests = {f"sha256:{name}" for name in names if len(name) == 64}
        shipped = await asyncio.to_thread(self._serving.shipped, stays.versions)
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
            "published": await asyncio.to_thread(self._serving.withdraw, stays.versions, before),
            "artifact_bytes": await self._artifacts.sweep(
                digests | shipped, before, only_here=not leads
            ),
            **(await self._prune(now - keep, stays.history) if leads else {}),
        }
        if any(gone.values()):
            log.info("deleted what is no longer needed", **gone)
        return gone

    async def _prune(self, before: float, history: Collection[str]) -> dict[str, int]:
        """Delete rows; how many of each kind."""
        return {
            "stored_runs": await self._store.prune("run", before, history),
            "stored_graphs": await self._store.prune("graph", before, history),
            "stored_results": await self._store.prune("cache", before - RENEWED),
            "stored_stalls": await self._store.prune(STALL, before),
        }

    async def forget_messages(self, keep: float, now: float) -> int:
        """Forget messages that are too old to be sent again, and those that were set aside `keep`
        seconds ago; how many they were. `now` is in seconds since the epoch."""
        return await self._store.prune_messages(consumed=now - REPEATED, set_aside=now - keep)

    async def forget_strangers(self) -> None:
        """End and delete attempts of runs that the store does not know. Call it before any starts.

        A run is saved before its first attempt starts, so the state was lost or restored from a
        backup. New runs get the same numbers, and would take these results for their own. Runs
        whose numbers were given are known, even if they are not stored any more.
        Raises `NeedsHuman` if an attempt does not end.
        """
        names = self._attempts.names()
        known = await self._known({owner_of(name) for name in names})
        strangers = [name for name in names if owner_of(name) not in known]
        if strangers:
            await self._forget(strangers)
        await self._reap_containers()

    async def _known(self, owners: Collection[Key]) -> set[Key]:
        """Those of them that the store has, or has had."""
        places = [key.name for key in owners if key.kind == "environment"]
        found = await self._store.get_all("environment", places)
        known = {record.key for record in found.values()}
        runs = {key: split(key.name) for key in owners if key.kind == "run"}
        pipelines = {pipeline for pipeline, _ in runs.values()}
        last = {pipeline: await last_number(self._store, pipeline) for pipeline in pipelines}
        return known | {key for key, (of, number) in runs.items() if 0 < number <= last[of]}

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
        runs |= await self._store.get_all("run", runs_of(pending) - runs.keys())
        stated = [Stated(pipeline_of(each.owner), text(each.action)) for each in actions]
        stated += [Stated(pipeline_of(each.to), each.text) for each in messages]
        graphs = await self._store.get_all("graph", runs)
        stated += [Stated(pipeline_of(each.key), each.text) for each in graphs.values()]
        for kind in ("pipeline", "environment"):
            objects = await self._store.list(kind)
            stated += [Stated(pipeline_of(each.key), each.text) for each in objects]
        return StoredReferences(
            runs=tuple(parsed(Run, each.body) for each in runs.values()),
            stated=tuple(stated),
            versions=tuple(await self._versions(versions_of(stated))),
        )

    async def _versions(self, names: Collection[str]) -> list[ModelVersion]:
        found = await self._store.get_all("model", names)
        return [parsed(ModelVersion, each.body) for each in found.values()]

    async def _refuse_if_strangers_serve(self, stays: Kept) -> None:
        """If a server of an unknown version is running, the state was lost."""
        versions = defaultdict[str, list[ModelVersion]](list)
        for one in stays.versions:
            versions[one.pipeline].append(one)
        for place in sorted(await self._places()):
            of_pipeline = versions[place.partition("/")[0]]
            known = {server_name(place, one.ref) for one in of_pipeline}
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
        content = await mirror.read(source.commit, source.within(path)) if mirror else None
        if content is None:
            raise NeedsHuman(
                f"what {version.pipeline} v{version.number} requires cannot be read: is "
                f"{source.repository} still among the `repositories`?"
            )
        with io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="replace") as file:
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
