"""Python environments of steps and model servers, built once per content of what they hold."""

import asyncio
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from controller.blobs.shelf import discard, discard_all, use
from controller.executors.installing import CannotBuild, Installer
from controller.executors.wanted import BuildTarget, Locked, Packages, Requirements, Wanted
from controller.machine.runs.attempt import Building
from deployers.confinement import UNCONFINED, Confinement

LOGS = ".logs"
"""The folder with what was said while environments were built: a folder for each, with a `log`."""

Told = Callable[[Building], None]
"""Is told that a build is waited for, and how it ended."""


class ReadyEnvironment(NamedTuple):
    """An environment that can be used."""

    environment: Path
    packages: Path | None = None
    """The folder with the repository's own packages, where it has any that are installed."""


class Virtualenvs:
    """The environments below one folder. An environment is complete or it is not there."""

    def __init__(self, folder: Path, confinement: Confinement = UNCONFINED) -> None:
        self._folder = folder
        self._installer = Installer(folder, confinement)
        self._building: dict[str, tuple[asyncio.Task[Path], Building]] = {}
        self._failed: dict[str, tuple[str, Building]] = {}

    def ready(self, wanted: Requirements | Locked, python: str | None) -> ReadyEnvironment | None:
        """The environment, if it was built already."""
        environment = self._path(wanted.name, python)
        if not self._is_there(environment):
            return None
        packages = _packages(wanted, environment)
        if packages is None:
            return ReadyEnvironment(environment)
        path = self._path(packages.name, python)
        return ReadyEnvironment(environment, path) if self._is_there(path) else None

    async def get(
        self,
        wanted: Requirements | Locked,
        python: str | None,
        told: Told | None = None,
        by: str = "",
    ) -> ReadyEnvironment:
        """The environment, built if need be. Raises `CannotBuild`.

        `told` hears of what had to be built, `by` is who asks: an asker who knows that it cannot be
        built is told so again, and nothing is tried.
        """
        environment = await self._get(wanted, python, told, by)
        packages = _packages(wanted, environment)
        if packages is None:
            return ReadyEnvironment(environment)
        return ReadyEnvironment(environment, await self._get(packages, python, told, by))

    def sweep(self, keep: Collection[str], before: float) -> int:
        """Delete the environments that nobody used since `before` (seconds since the epoch), but
        for those of these names, whatever their Python; how many went. Blocking."""
        links = [path for path in self._folder.glob("*") if path.is_symlink()]
        gone = [discard(link, before) for link in links if link.name.partition("-")[0] not in keep]
        named = {link.readlink().name for link in links if link.is_symlink()}
        discard_all(self._folder / LOGS, before)
        # Also what a build that was cut short has left. Nobody uses a folder but by its link.
        discard_all(self._folder, before, {LOGS, *named, *(link.name for link in links)})
        return sum(gone)

    async def _get(self, wanted: Wanted, python: str | None, told: Told | None, by: str) -> Path:
        path = self._path(wanted.name, python)
        if self._is_there(path):
            return path
        asker, building = self._failed.get(path.name, ("", None))
        if building is not None and by and asker == by:
            _tell(told, building)
            raise CannotBuild(building.failed)
        if path.name not in self._building:
            self._begin(path, wanted, python)
        task, building = self._building[path.name]
        _tell(told, building)
        try:
            return await asyncio.shield(task)
        except CannotBuild as failure:
            building = building.model_copy(update={"failed": str(failure)})
            self._failed[path.name] = by, building
            raise
        finally:
            if task.done():
                seconds = max(0.0, time.time() - building.since)
                _tell(told, building.model_copy(update={"seconds": seconds}))

    def _begin(self, path: Path, wanted: Wanted, python: str | None) -> None:
        task = asyncio.create_task(self._build(path, wanted, python))
        what = "packages" if isinstance(wanted, Packages) else "environment"
        building = Building(name=path.name, what=what, since=time.time())
        self._building[path.name] = task, building
        task.add_done_callback(lambda _: self._building.pop(path.name, None))

    def _is_there(self, path: Path) -> bool:
        return use(path) and path.exists()

    def _path(self, name: str, python: str | None) -> Path:
        # Without a wish it is the controller's own Python, which may be another one tomorrow.
        return self._folder / f"{name}-python{python or platform.python_version()}"

    async def _build(self, path: Path, wanted: Wanted, python: str | None) -> Path:
        log = self._folder / LOGS / path.name / "log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        scratch = Path(tempfile.mkdtemp(dir=self._folder, prefix=".building-"))
        # uv writes absolute paths into an environment, so it is built where it will stay, and
        # the link that makes it known comes last.
        place = self._folder / f"{path.name}.{scratch.name.rpartition('-')[2]}"
        try:
            target = BuildTarget(place, scratch, log, python or sys.executable)
            await wanted.make(self._installer, target)
            (scratch / "link").symlink_to(place.name)
            (scratch / "link").replace(path)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return path


def _packages(wanted: Requirements | Locked, environment: Path) -> Packages | None:
    """The packages of the repository that go beside it."""
    if isinstance(wanted, Requirements) or not wanted.recipe.project.packages:
        return None
    return Packages(wanted.recipe, wanted.checkout, environment)


def _tell(told: Told | None, building: Building) -> None:
    if told is not None:
        told(building)
