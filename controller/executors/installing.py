"""Installs what an environment is to hold, by uv, or by a program of conda.

A requirements file is a proposal: it may name files of this machine, and a source distribution runs
its own code to be built. So where processes are confined, the installer is, too, and comes to it in
two steps. First with the cache that all installations share, and nothing is built: no code of a
package runs. Where that does not do, with a cache of its own that goes with it, so that what is run
then reaches no other environment. Byte code is compiled with nothing of the environment imported.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
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

READ = 64 * 1024
"""Bytes of the installer's words that are read at once."""

MOST_LOG = 4 * 2**20
"""Bytes of them that a log takes."""

_FAULTS = ("error", "\N{MULTIPLICATION SIGN}")
"""What the line begins with in which uv says what is wrong."""
_NONE: Mapping[str, str] = {}
_UNVERSIONED = {"SETUPTOOLS_SCM_PRETEND_VERSION": "0"}
"""For packages whose version would come from git, which is not there when they are built."""


class CannotBuild(Failure):
    """The environment cannot be built; the message holds the installer's last words."""


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

    async def make(self, environment: Path, python: str, log: Path) -> None:
        """An empty environment of that Python: a version, or a path. Raises `CannotBuild`."""
        command = (_uv(), "venv", "-q", "--python", python, str(environment))
        await _run(command, _variables(), log)

    async def install(
        self, environment: Path, listed: Path, scratch: Path, log: Path, *, built: bool = False
    ) -> None:
        """Install what a file in the folder `scratch` lists; with `built`, some of it is built in
        any case. Raises `CannotBuild`."""
        into = ("--python", str(environment / "bin" / "python"), "-r", str(listed))
        command = (_uv(), "pip", "install", *into)
        if not self._confinement.works:
            await _run((*command, "--compile-bytecode"), _variables(), log)
            return
        if built or not await self._unbuilt(command, environment, scratch, log):
            await self._built(command, environment, scratch, log)

    async def export(
        self, project: Path, chosen: Sequence[str], target: Path, scratch: Path, log: Path
    ) -> None:
        """Write what a uv.lock says of the project laid out at `project`, below `scratch`, as a
        pylock.toml. Raises `CannotBuild`."""
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
        """Build the packages in `folders`, below `scratch`, and install these alone into `target`
        for that Python. Raises `CannotBuild`."""
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
        """Make an environment of what an environment.yml says. `listed` is that, in a folder of
        its own. Raises `CannotBuild`."""
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
        await self._confined(command, place, log, reads=_made_of(program), variables=own)

    async def _unbuilt(
        self, command: Sequence[str], environment: Path, scratch: Path, log: Path
    ) -> bool:
        """Install wheels alone; whether that did."""
        user = self._confinement.user("installer")
        cache = _shared_cache() if user is None else self._folder / ".cache"
        try:
            place = _Place(environment, scratch, cache, user)
            await self._installed((*command, "--no-build"), place, log)
        except CannotBuild:
            return False
        return True

    async def _built(
        self, command: Sequence[str], environment: Path, scratch: Path, log: Path
    ) -> None:
        """Install by whatever it takes."""
        user = self._confinement.user("builder", environment.name)
        place = _Place(environment, scratch, scratch / "cache", user)
        await self._installed(command, place, log)

    async def _installed(self, command: Sequence[str], place: _Place, log: Path) -> None:
        # Across mounts there are no hard links, so uv would say that it copies.
        await self._confined((*command, "--link-mode=copy"), place, log)
        with suppress(CannotBuild):  # some packages hold files of another Python
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
        await asyncio.to_thread(_lay_out, place)
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
    return {"UV_PREVIEW_FEATURES": "pylock", **passed}  # else it warns of what is known here


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


def _made_of(program: Path) -> tuple[Path, ...]:
    """What has to be seen for a program of conda to run: it, or all that it is installed with."""
    real = program.resolve()
    home = real.parent.parent
    return (program, home if (home / "conda-meta").is_dir() else real)


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
        async with asyncio.timeout(LONGEST):
            output = await _followed(process.stdout, log)
            await process.wait()
    except TimeoutError:
        raise CannotBuild(
            f"building the environment took longer than {LONGEST:g} s; is the package index "
            "within reach?"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CannotBuild(f"The installer said: {_last_words(output.decode(errors='replace'))}")


def _last_words(said: str) -> str:
    """What it says of its failure, without what went well before."""
    lines = said.strip().splitlines()
    begins = (
        n
        for n, line in enumerate(lines)
        if line.lstrip().startswith(("error", "\N{MULTIPLICATION SIGN}"))
    )
    return "\n".join(lines[next(begins, 0) :]).strip()[-TAIL:]


async def _followed(stream: asyncio.StreamReader, log: Path | None) -> bytes:
    """The end of what the installer says, which goes to the log as it comes."""
    end = b""
    with log.open("ab", buffering=0) if log is not None else nullcontext() as file:
        while piece := await stream.read(READ):
            end = (end + piece)[-READ:]
            if file is not None and file.tell() < MOST_LOG:
                file.write(piece)
    return end
