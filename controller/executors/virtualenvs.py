"""Python environments of steps and model servers, built once per content of their requirements."""

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from controller.shelf import discard, discard_all, use
from specs.digests import digest
from specs.failures import Failure

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
PREFIXES = ("UV_", "PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy")
"""What the installer may see of the controller's variables: where packages come from."""

LONGEST = 1800.0
"""Seconds that one call of the installer may take."""

TAIL = 1500
"""Characters of the installer's last words that a message quotes."""


class CannotBuild(Failure):
    """The requirements cannot be installed; the message holds the installer's last words."""


class Virtualenvs:
    """The environments below one folder. An environment is complete or it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
            await _uv("venv", "-q", "--python", python or sys.executable, str(place))
            if requirements.strip():
                listed = scratch / "requirements.txt"
                listed.write_text(requirements)
                interpreter = str(place / "bin" / "python")
                arguments = ("-q", "--compile-bytecode", "--python", interpreter, "-r", str(listed))
                await _uv("pip", "install", *arguments)
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


async def _uv(*arguments: str) -> None:
    from uv import find_uv_bin

    process = await asyncio.create_subprocess_exec(
        find_uv_bin(),
        *arguments,
        env={k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(PREFIXES)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LONGEST):
            output, _ = await process.communicate()
    except TimeoutError:
        raise CannotBuild(
            f"installing the requirements took longer than {LONGEST:g} s; is the package index "
            "within reach?"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = output.decode(errors="replace").strip()[-TAIL:]
        raise CannotBuild(
            "the requirements cannot be installed; mend the file that "
            f"`environment.requirements` names. The installer said: {words}"
        )
