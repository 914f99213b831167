"""Python environments of steps and model servers, built once per content of their requirements."""

import asyncio
import platform
import shutil
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from controller.executors.installing import Installer
from controller.shelf import discard, discard_all, use
from deployers.confinement import UNCONFINED, Confinement
from specs.digests import digest


class Virtualenvs:
    """The environments below one folder. An environment is complete or it is not there."""

    def __init__(self, folder: Path, confinement: Confinement = UNCONFINED) -> None:
        self._folder = folder
        self._installer = Installer(folder, confinement)
        self._building: dict[str, asyncio.Task[Path]] = {}

    def ready(self, requirements: str, python: str | None) -> Path | None:
        """The environment, if it was built already."""
        path = self._path(requirements, python)
        return path if use(path) and path.exists() else None

    async def get(self, requirements: str, python: str | None) -> Path:
        """The environment's folder, built if need be. Raises `CannotBuild`.

        `requirements` is the text of the file. Lines with hashes are checked by the installer.
        """
        path = self._path(requirements, python)
        if self.ready(requirements, python) is not None:
            return path
        task = self._building.get(path.name)
        if task is None:
            task = asyncio.create_task(self._build(path, requirements, python))
            self._building[path.name] = task
            task.add_done_callback(lambda _: self._building.pop(path.name, None))
        return await asyncio.shield(task)

    def _path(self, requirements: str, python: str | None) -> Path:
        # Without a wish it is the controller's own Python, which may be another one tomorrow.
        version = python or platform.python_version()
        return self._folder / f"{_name(requirements)}-python{version}"

    def sweep(self, keep: Collection[str], before: float) -> int:
        """Delete the environments that nobody used since `before` (seconds since the epoch), but
        for those of the requirements in `keep`, whatever their Python; how many went. Blocking."""
        kept = {_name(requirements) for requirements in keep}
        links = [path for path in self._folder.glob("*") if path.is_symlink()]
        gone = [discard(link, before) for link in links if link.name.partition("-")[0] not in kept]
        named = {link.readlink().name for link in links if link.is_symlink()}
        # Also what a build that was cut short has left. Nobody uses a folder but by its link.
        discard_all(self._folder, before, {*named, *(link.name for link in links)})
        return sum(gone)

    async def _build(self, path: Path, requirements: str, python: str | None) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self._folder, prefix=".building-"))
        # uv writes absolute paths into an environment, so it is built where it will stay, and
        # the link that makes it known comes last.
        place = self._folder / f"{path.name}.{scratch.name.rpartition('-')[2]}"
        try:
            await self._installer.make(place, python or sys.executable)
            if requirements.strip():
                await self._installer.install(place, requirements, scratch)
            (scratch / "link").symlink_to(place.name)
            (scratch / "link").replace(path)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return path


def _name(requirements: str) -> str:
    return digest({"requirements": requirements})[7:31]
