"""Installs the content of an environment with uv, or with a program of conda.

A requirements file is untrusted: it may name files of this machine, and building a source
distribution runs its code. So if processes are confined, the installer is, too, and works in two
steps. The first installs wheels only, which runs no code of a package, and uses the cache that all
installations share. If that fails, the second builds, with a temporary cache of its own, so that
the code that runs then cannot reach another environment. Compiling to byte code imports nothing.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from controller.executors.ownership import change_owner
from deployers.confinement import Confinement, User, View, interpreter
from specs.failures import Failure
from specs.figures import duration

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
PREFIXES = ("UV_", "PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy")
"""The controller's variables that are passed to the installer: where packages come from."""

TIMEOUT = 1800.0
"""Seconds that one call of the installer may take."""

TAIL = 1500
"""Characters from the end of the installer's output that a message quotes."""

READ = 64 * 1024
"""Bytes of the installer's output that are read at once."""

MAX_LOG = 4 * 2**20
"""Bytes of the installer's output that are kept in the log."""

_ERROR_PREFIXES = ("error", "\N{MULTIPLICATION SIGN}")
"""The beginnings of the line in which uv reports an error."""
_NONE: Mapping[str, str] = {}
_UNVERSIONED = {"SETUPTOOLS_SCM_PRETEND_VERSION": "0"}
"""For packages that take their version from git, which is not available when they are built."""


class CannotBuild(Failure):
    """The environment cannot be built; the message quotes the end of the installer's output."""


class _Place(NamedTuple):
    """Where the installer may write, and as whom."""

    environment: Path
    scratch: Path
    cache: Path
    user: User | None


class Installer:
    """Creates environments below a folder, confined like the controller's other processes."""

    def __init__(self, folder: Path, confinement: Confinement) -> None:
        self._folder = folder
        self._confinement = confinement

    async def make(self, environment: Path, python: str, log: Path) -> None:
        """Create an empty environment; `python` is a version or a path. Raises `CannotBuild`."""
        command = (_uv(), "venv", "-q", "--python", python, str(environment))
        await _run(command, _variables(), log)

    async def install(
        self, environment: Path, listed: Path, scratch: Path, log: Path, *, builds: bool = False
    ) -> None:
        """Install what the file `listed`, below `scratch`, lists. `builds` says that some of it
        has to be built in any case. Raises `CannotBuild`."""
        into = ("--python", str(environment / "bin" / "python"), "-r", str(listed))
        command = (_uv(), "pip", "install", *into)
        if not self._confinement.works:
            await _run((*command, "--compile-bytecode"), _variables(), log)
            return
        if builds or not await self._install_wheels(command, environment, scratch, log):
            await self._install_and_build(command, environment, scratch, log)

    async def export(
        self, project: Path, chosen: Sequence[str], target: Path, scratch: Path, log: Path
    ) -> None:
        """Convert the uv.lock of the project at `project`, below `scratch`, to a pylock.toml at
        `target`. Raises `CannotBuild`."""
        command = (
            *(_uv(), "export", "-q", "--frozen", "--no-config", "--offline", "--no-header"),
            *("--no-default-groups", "--no-emit-workspace", "--format", "pylock.toml", *chosen),
            *("--project", str(project), "-o", str(target)),
        )
        if not self._confinement.works:
            await _run(command, _variables(), log)
            return
        user = self._confinement.user("installer")
        await self._confined(command, _Place(project, scratch, scratch / "cache", user), log)

    async def add(
        self, python: Path, folders: Sequence[Path], target: Path, scratch: Path, log: Path
    ) -> None:
        """Build the packages in `folders`, below `scratch`, and install them without dependencies
        into `target` for that Python. Raises `CannotBuild`."""
        command = (
            *(_uv(), "pip", "install", "--no-config", "--no-sources", "--no-deps"),
            *("--python", str(python), "--target", str(target), *map(str, folders)),
        )
        if not self._confinement.works:
            await _run(command, {**_variables(), **_UNVERSIONED}, log)
            return
        user = self._confinement.user("builder", target.name)
        place = _Place(target, scratch, scratch / "cache", user)
        reads = interpreter(python.parent.parent)
        await self._confined(command, place, log, reads=reads, variables=_UNVERSIONED)

    async def conda(self, program: Path, environment: Path, listed: Path, log: Path) -> None:
        """Create an environment from the environment.yml `listed`, which is in a folder of its own.
        Raises `CannotBuild`."""
        scratch = listed.parent
        verb = ("create", "-y") if program.name == "micromamba" else ("env", "create", "-y")
        command = (str(program), *verb, "-p", str(environment), "-f", str(listed))
        own = {"CONDA_PKGS_DIRS": str(scratch / "packages"), "MAMBA_ROOT_PREFIX": str(scratch)}
        if not self._confinement.works:
            await _run(command, {**_variables(), **own}, log)
            return
        user = self._confinement.user("builder", environment.name)
        place = _Place(environment, scratch, scratch / "cache", user)
        environment.mkdir()  # noqa: ASYNC240 - one folder
        await self._confined(command, place, log, reads=_files_of(program), variables=own)

    async def _install_wheels(
        self, command: Sequence[str], environment: Path, scratch: Path, log: Path
    ) -> bool:
        """Install without building anything; whether that succeeded."""
        user = self._confinement.user("installer")
        cache = _shared_cache() if user is None else self._folder / ".cache"
        try:
            place = _Place(environment, scratch, cache, user)
            await self._install((*command, "--no-build"), place, log)
        except CannotBuild:
            return False
        return True

    async def _install_and_build(
        self, command: Sequence[str], environment: Path, scratch: Path, log: Path
    ) -> None:
        """Install, and build what needs to be built."""
        user = self._confinement.user("builder", environment.name)
        place = _Place(environment, scratch, scratch / "cache", user)
        await self._install(command, place, log)

    async def _install(self, command: Sequence[str], place: _Place, log: Path) -> None:
        # Hard links do not work across mounts, and uv would warn that it copies instead.
        await self._confined((*command, "--link-mode=copy"), place, log)
        with suppress(CannotBuild):  # some packages contain files for another Python version
            await self._confined(_compile(place.environment), place, None)

    async def _confined(
        self,
        command: Sequence[str],
        place: _Place,
        log: Path | None,
        *,
        reads: Sequence[Path] = (),
        variables: Mapping[str, str] = _NONE,
    ) -> None:
        await asyncio.to_thread(_hand_over, place)
        own = {"HOME": str(place.scratch), "TMPDIR": str(place.scratch)}
        own |= {"UV_CACHE_DIR": str(place.cache), "XDG_CONFIG_HOME": str(_settings().parent)}
        reads = (Path(_uv()), _settings(), *_certificates(), *reads)
        view = View(
            place.scratch,
            (*reads, *interpreter(place.environment)),
            (place.environment, place.scratch, place.cache),
        )
        within = self._confinement.within(view, place.user)
        try:
            await _run((*within, *command), {**_variables(), **own, **variables}, log)
        finally:
            await asyncio.to_thread(_take_back, place)


def _uv() -> str:
    from uv import find_uv_bin

    return find_uv_bin()


def _variables() -> dict[str, str]:
    passed = {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(PREFIXES)}
    return {"UV_PREVIEW_FEATURES": "pylock", **passed}  # else uv warns that this is experimental


def _shared_cache() -> Path:
    """uv's cache of the controller's user; see `uv cache dir`."""
    given = os.environ.get("UV_CACHE_DIR")
    base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(given) if given else base / "uv"


def _compile(environment: Path) -> tuple[str, ...]:
    """The command that compiles to byte code; -I and -S keep .pth files from being executed."""
    python = (str(environment / "bin" / "python"), "-I", "-S")
    return (*python, "-m", "compileall", "-q", "-j", "0", str(environment / "lib"))


def _settings() -> Path:
    """The folder of uv's own settings."""
    return Path(os.environ.get("XDG_CONFIG_HOME", "~/.config")).expanduser() / "uv"


def _certificates() -> Iterator[Path]:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if name in os.environ:
            yield Path(os.environ[name])


def _files_of(program: Path) -> tuple[Path, ...]:
    """The files that a program of conda needs to run: itself, or the environment that it is in."""
    real = program.resolve()
    home = real.parent.parent
    return (program, home if (home / "conda-meta").is_dir() else real)


def _hand_over(place: _Place) -> None:
    """Give the folders that the installer writes to the user that it runs as."""
    place.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.user is not None:
        place.scratch.chmod(0o755)  # it is entered before the process switches to that user
        for tree in (place.environment, place.scratch):
            change_owner(tree, os.getuid(), (place.user.uid, place.user.gid))
        os.chown(place.cache, place.user.uid, place.user.gid)


def _take_back(place: _Place) -> None:
    """Give the folders back, so that no step and no later installer can write there."""
    if place.user is not None:
        for tree in (place.environment, place.scratch):
            change_owner(tree, place.user.uid, (os.getuid(), os.getgid()))


async def _run(command: Sequence[str], environment: Mapping[str, str], log: Path | None) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT):
            output = await _read_output(process.stdout, log)
            await process.wait()
    except TimeoutError:
        raise CannotBuild(
            f"building the environment took longer than {duration(TIMEOUT)}; check that the "
            "package index is reachable"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CannotBuild(f"The installer said: {_error_text(output.decode(errors='replace'))}")


def _error_text(output: str) -> str:
    """The end of the output, from the line on that reports the error."""
    lines = output.strip().splitlines()
    errors = (n for n, line in enumerate(lines) if line.lstrip().startswith(_ERROR_PREFIXES))
    return "\n".join(lines[next(errors, 0) :]).strip()[-TAIL:]


async def _read_output(stream: asyncio.StreamReader, log: Path | None) -> bytes:
    """Copy the output to the log as it comes; returns the end of it."""
    end = b""
    with log.open("ab", buffering=0) if log is not None else nullcontext() as file:
        while piece := await stream.read(READ):
            end = (end + piece)[-READ:]
            if file is not None and file.tell() < MAX_LOG:
                file.write(piece)
    return end
