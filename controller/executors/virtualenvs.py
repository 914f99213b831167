"""Python environments of steps and model servers, each built once and reused."""

import asyncio
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from controller.blobs.last_use import discard, discard_all, use
from controller.executors.installer import CannotBuild, Installer
from controller.executors.requirements import (
    BuildTarget,
    EnvironmentSpec,
    Locked,
    Packages,
    Requirements,
)
from controller.machine.runs.attempt import Building
from deployers.confinement import UNCONFINED, Confinement

LOGS = ".logs"
"""The folder with the output of builds: a folder for each environment, with a `log`."""

OnBuild = Callable[[Building], None]
"""Called when a build is waited for, and again when it has ended."""


class ReadyEnvironment(NamedTuple):
    """An environment that can be used."""

    environment: Path
    packages: Path | None = None
    """The folder with the repository's own installed packages, if it has any."""


class Virtualenvs:
    """The environments below one folder. Only complete environments are visible."""

    def __init__(self, folder: Path, confinement: Confinement = UNCONFINED) -> None:
        self._folder = folder
        self._installer = Installer(folder, confinement)
        self._building: dict[str, tuple[asyncio.Task[Path], Building]] = {}
        self._failed: dict[str, tuple[str, Building]] = {}

    def ready(self, wanted: Requirements | Locked, python: str | None) -> ReadyEnvironment | None:
        """The environment, if it is built already."""
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
        on_build: OnBuild | None = None,
        by: str = "",
    ) -> ReadyEnvironment:
        """The environment, built if necessary. Raises `CannotBuild`.

        `on_build` is called for each build that this waits for. `by` identifies the caller: once a
        build failed for a caller, the same error is raised for it again without another try.
        """
        environment = await self._get(wanted, python, on_build, by)
        packages = _packages(wanted, environment)
        if packages is None:
            return ReadyEnvironment(environment)
        return ReadyEnvironment(environment, await self._get(packages, python, on_build, by))

    def sweep(self, keep: Collection[str], before: float) -> int:
        """Delete the environments that were not used since `before` (seconds since the epoch),
        except those named in `keep`, for any Python; how many were deleted. Blocking."""
        links = [path for path in self._folder.glob("*") if path.is_symlink()]
        gone = [discard(link, before) for link in links if link.name.partition("-")[0] not in keep]
        named = {link.readlink().name for link in links if link.is_symlink()}
        discard_all(self._folder / LOGS, before)
        # Also the remains of interrupted builds: every folder in use has a link to it.
        discard_all(self._folder, before, {LOGS, *named, *(link.name for link in links)})
        return sum(gone)

    async def _get(
        self, wanted: EnvironmentSpec, python: str | None, on_build: OnBuild | None, by: str
    ) -> Path:
        path = self._path(wanted.name, python)
        if self._is_there(path):
            return path
        asker, building = self._failed.get(path.name, ("", None))
        if building is not None and by and asker == by:
            _notify(on_build, building)
            raise CannotBuild(building.failed)
        if path.name not in self._building:
            self._begin(path, wanted, python)
        task, building = self._building[path.name]
        _notify(on_build, building)
        try:
            return await asyncio.shield(task)
        except CannotBuild as failure:
            building = building.model_copy(update={"failed": str(failure)})
            self._failed[path.name] = by, building
            raise
        finally:
            if task.done():
                seconds = max(0.0, time.time() - building.since)
                _notify(on_build, building.model_copy(update={"seconds": seconds}))

    def _begin(self, path: Path, wanted: EnvironmentSpec, python: str | None) -> None:
        task = asyncio.create_task(self._build(path, wanted, python))
        what = "packages" if isinstance(wanted, Packages) else "environment"
        building = Building(name=path.name, what=what, since=time.time())
        self._building[path.name] = task, building
        task.add_done_callback(lambda _: self._building.pop(path.name, None))

    def _is_there(self, path: Path) -> bool:
        return use(path) and path.exists()

    def _path(self, name: str, python: str | None) -> Path:
        # The default is the controller's own Python, whose version may change with an upgrade.
        return self._folder / f"{name}-python{python or platform.python_version()}"

    async def _build(self, path: Path, wanted: EnvironmentSpec, python: str | None) -> Path:
        log = self._folder / LOGS / path.name / "log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        scratch = Path(tempfile.mkdtemp(dir=self._folder, prefix=".building-"))
        # uv writes absolute paths into an environment, so it is built in its final place, and
        # the link that makes it visible is created last.
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
    """The packages of the repository that are installed beside the environment."""
    if isinstance(wanted, Requirements) or not wanted.recipe.project.packages:
        return None
    return Packages(wanted.recipe, wanted.checkout, environment)


def _notify(on_build: OnBuild | None, building: Building) -> None:
    if on_build is not None:
        on_build(building)
