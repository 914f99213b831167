"""Installs requirements into a Python environment, by uv.

A requirements file is a proposal: it may name files of this machine, and a source distribution runs
its own code to be built. So where processes are confined, the installer is, too, and comes to it in
two steps. First with the cache that all installations share, and nothing is built: no code of a
package runs. Where that does not do, with a cache of its own that goes with it, so that what is run
then reaches no other environment. Byte code is compiled with nothing of the environment imported.
"""

import asyncio
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from controller.executors.ownership import give
from deployers.confinement import Confinement, User, View, interpreter
from specs.failures import Failure

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
PREFIXES = ("UV_", "PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy")
"""What the installer may see of the controller's variables: where packages come from."""

LONGEST = 1800.0
"""Seconds that one call of the installer may take."""

TAIL = 1500
"""Characters of the installer's last words that a message quotes."""

_ELSEWHERE = re.compile(r"^\s*(-e|-r|-c|--editable|--requirement|--constraint)", re.MULTILINE)
"""Lines by which more is read, or built whatever was asked for."""


class CannotBuild(Failure):
    """The requirements cannot be installed; the message holds the installer's last words."""


class _Place(NamedTuple):
    """Where the installer works."""

    environment: Path
    scratch: Path
    cache: Path
    user: User | None


class Installer:
    """Makes environments below a folder, confined as the controller's processes are."""

    def __init__(self, folder: Path, confinement: Confinement) -> None:
        self._folder = folder
        self._confinement = confinement

    async def make(self, environment: Path, python: str) -> None:
        """An empty environment of that Python: a version, or a path. Raises `CannotBuild`."""
        await _run((_uv(), "venv", "-q", "--python", python, str(environment)), _variables())

    async def install(self, environment: Path, requirements: str, scratch: Path) -> None:
        """Install what a requirements file says. `scratch` is an empty folder. Raises
        `CannotBuild`."""
        listed = scratch / "requirements.txt"
        listed.write_text(requirements)
        into = ("--python", str(environment / "bin" / "python"), "-r", str(listed))
        command = (_uv(), "pip", "install", "-q", *into)
        if not self._confinement.works:
            await _run((*command, "--compile-bytecode"), _variables())
            return
        alone = _ELSEWHERE.search(requirements) is not None
        if alone or not await self._unbuilt(command, environment, scratch):
            await self._built(command, environment, scratch)

    async def _unbuilt(self, command: Sequence[str], environment: Path, scratch: Path) -> bool:
        """Install wheels alone; whether that did."""
        user = self._confinement.user("installer")
        cache = _shared_cache() if user is None else self._folder / ".cache"
        try:
            place = _Place(environment, scratch, cache, user)
            await self._confined((*command, "--no-build"), place)
        except CannotBuild:
            return False
        return True

    async def _built(self, command: Sequence[str], environment: Path, scratch: Path) -> None:
        """Install by whatever it takes."""
        user = self._confinement.user("builder", environment.name)
        await self._confined(command, _Place(environment, scratch, scratch / "cache", user))

    async def _confined(self, command: Sequence[str], place: _Place) -> None:
        await asyncio.to_thread(_lay_out, place)
        own = {"HOME": str(place.scratch), "TMPDIR": str(place.scratch)}
        own |= {"UV_CACHE_DIR": str(place.cache), "XDG_CONFIG_HOME": str(_settings().parent)}
        view = View(
            place.scratch,
            (Path(_uv()), _settings(), *_certificates(), *interpreter(place.environment)),
            (place.environment, place.scratch, place.cache),
        )
        within = self._confinement.within(view, place.user)
        try:
            # Across mounts there are no hard links, so uv would say that it copies.
            await _run((*within, *command, "--link-mode=copy"), {**_variables(), **own})
            with suppress(CannotBuild):  # some packages hold files of another Python
                await _run((*within, *_compile(place.environment)), {**_variables(), **own})
        finally:
            await asyncio.to_thread(_take_back, place)


def _uv() -> str:
    from uv import find_uv_bin

    return find_uv_bin()


def _variables() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(PREFIXES)}


def _shared_cache() -> Path:
    """The cache of whoever the controller runs as; see `uv cache dir`."""
    given = os.environ.get("UV_CACHE_DIR")
    base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(given) if given else base / "uv"


def _compile(environment: Path) -> tuple[str, ...]:
    """Isolated and without `site`, so that no .pth file of a package is executed."""
    python = (str(environment / "bin" / "python"), "-I", "-S")
    return (*python, "-m", "compileall", "-q", "-j", "0", str(environment / "lib"))


def _settings() -> Path:
    """The folder of uv's own settings."""
    return Path(os.environ.get("XDG_CONFIG_HOME", "~/.config")).expanduser() / "uv"


def _certificates() -> Iterator[Path]:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if name in os.environ:
            yield Path(os.environ[name])


def _lay_out(place: _Place) -> None:
    """Give all that it writes to the user that installs."""
    place.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.user is not None:
        place.scratch.chmod(0o755)  # entered before anybody becomes that user
        for tree in (place.environment, place.scratch):
            give(tree, os.getuid(), (place.user.uid, place.user.gid))
        os.chown(place.cache, place.user.uid, place.user.gid)


def _take_back(place: _Place) -> None:
    """No step's user may write there, nor whoever installs next."""
    if place.user is not None:
        for tree in (place.environment, place.scratch):
            give(tree, place.user.uid, (os.getuid(), os.getgid()))


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
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
