"""The Docker Engine: what steps and model servers that run as containers share.

One thin layer over the `docker` SDK. The SDK blocks, so each call runs in a thread of the engine's
own, and what it raises becomes a `Failure` that says what to do. Nothing is connected to before it
is first needed.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from deployers.wire import PATIENCE, Wire, in_thread
from specs.failures import Failure, NeedsHuman, TryAgain

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.errors import APIError

T = TypeVar("T")
Kind = Literal["step", "server"]

HOME, KIND, NAME = "dev.headgate.home", "dev.headgate.kind", "dev.headgate.name"
"""Labels of everything that is started: whose it is, what it is, and of what name."""
BUILT = "headgate/build"
"""The name of what is built; the tag is the digest of the files."""
NOBODY = 65532
"""The user and group of containers where the controller is root."""
THREADS = 8
"""Calls to the engine at the same time, beside streams."""
CUT = 1.0
"""Seconds for a stream to end once its connection is cut."""
TAIL = 1500
"""Characters of a build's last words that a message quotes."""
PROCESSES = 4096
"""Processes and threads that one container may have."""
_KEPT = {"max-size": "32m", "max-file": "3"}
"""Of a container's output, for a controller that comes back; the engine's default is all of it."""


class Found(NamedTuple):
    """A container of this home, as the engine lists it."""

    id: str
    name: str
    """What it was started as: the attempt's id, or the server's name."""
    state: str
    """`created`, `running`, `restarting`, `exited`, ..."""


class Engine:
    """The engine at `host` (None: DOCKER_HOST, else the usual socket), for one controller's home.

    Every method that asks the engine raises TryAgain while it cannot be reached, and `NeedsHuman`
    for what will not get better by itself.
    """

    def __init__(self, host: str | None, home: Path) -> None:
        self._host = host
        self._mark = home / "engine-id"
        self._version: str | None = None
        self._client: DockerClient | None = None
        self._connecting = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="engine")
        self._building: dict[str, asyncio.Lock] = {}

    # -- whose it is ---------------------------------------------------------------------------

    @property
    def used(self) -> bool:
        """Whether this home ever started anything on an engine."""
        return self._mark.exists()

    @property
    def home(self) -> str:
        """The id of the controller's home: made once, at random, and kept there."""
        with contextlib.suppress(FileNotFoundError):
            return self._mark.read_text()
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._mark.with_name(f".engine-id-{token_hex(4)}")
        scratch.write_text(token_hex(8))
        with contextlib.suppress(FileExistsError):
            os.link(scratch, self._mark)  # whoever is first names it, and it is never half written
        scratch.unlink()
        return self._mark.read_text()

    def container(self, name: str) -> str:
        """What a container is called for an attempt or a server of that name.

        The home is in it: two controllers may share an engine, and each has a `flights-1.train.1`.
        """
        return f"headgate-{name}-{self.home}"

    def labels(self, kind: Kind, name: str) -> dict[str, str]:
        """The labels of what is started."""
        return {HOME: self.home, KIND: kind, NAME: name}

    async def containers(self, kind: Kind) -> list[Found]:
        """All containers of this home, also those that ended."""

        def listed(client: "DockerClient") -> list[Found]:
            wanted = {"label": [f"{HOME}={self.home}", f"{KIND}={kind}"]}
            return [
                Found(each["Id"], each["Labels"][NAME], each["State"])
                for each in client.api.containers(all=True, filters=wanted)
            ]

        return await self.call(listed) if self.used else []

    async def remove(self, container: str) -> None:
        """End a container, by its id or name, and delete it; also one that is not there."""

        def removed(client: "DockerClient") -> None:
            from docker.errors import APIError, NotFound

            try:
                client.api.remove_container(container, v=True, force=True)
            except NotFound:
                pass
            except APIError as error:
                if error.status_code != 409:  # somebody is removing it already
                    raise

        await self.call(removed)

    # -- calls ---------------------------------------------------------------------------------

    async def call(self, work: Callable[["DockerClient"], T]) -> T:
        """What `work` returns, called in a thread with the SDK's client.

        A cancelled call goes on in its thread. `work` catches what it expects of
        `docker.errors`; the rest becomes a `Failure`.
        """

        def called() -> T:
            with self._explained():
                return work(self._shared())

        return await asyncio.get_running_loop().run_in_executor(self._pool, called)

    async def stream(
        self, opened: Callable[["DockerClient"], Iterable[T]], take: Callable[[T], None]
    ) -> None:
        """Hand all that `opened` yields to `take`, in one thread of its own.

        Cancelled, the connection is cut, by which the engine gives up a pull or a build. One that
        has not answered at all is left to its thread, which takes nothing any more.
        """
        wire = Wire()

        def read() -> None:
            with self._explained():
                client = self._connect()
                try:
                    client.api.hooks["response"].append(wire.seen)
                    for each in opened(client):
                        if wire.cut_off:
                            break
                        take(each)
                except Exception:
                    if not wire.cut_off:
                        raise
                finally:
                    wire.close()
                    client.close()

        reading = asyncio.ensure_future(in_thread(read))
        try:
            await asyncio.shield(reading)
        except asyncio.CancelledError:
            wire.cut()
            await asyncio.wait([reading], timeout=CUT)
            reading.cancel()
            await asyncio.wait([reading])
            raise

    async def close(self) -> None:
        """Let go; containers go on. Streams are their callers' to cancel, before."""
        ending = in_thread(lambda: self._pool.shutdown(wait=True, cancel_futures=True))
        await ending
        if self._client is not None:
            self._client.close()
            self._client = None

    # -- images --------------------------------------------------------------------------------

    async def resolve(self, reference: str) -> str:
        """An immutable reference to the image: `name@sha256:...`, or the id of a local one.

        What is not here is pulled. Raises `NeedsHuman` for an image that is nowhere.
        """
        found = await self._image(reference)
        if found is None:
            await self._pull(reference)
            found = await self._image(reference)
        if found is None:
            raise _no_such(reference, "it was pulled and is not there")
        if "@" in reference:
            return reference
        digests: list[str] = found["RepoDigests"] or []
        name = _repository(reference)
        return next((d for d in digests if d.partition("@")[0] == name), str(found["Id"]))

    async def ensure(self, image: str) -> None:
        """See to it that an image that was resolved before is here (still, or again)."""
        if await self._image(image) is not None:
            return
        if "@" not in image:
            raise NeedsHuman(
                f"the image {image} is not on the Docker Engine any more, and its id alone does "
                "not say where it came from: load or build it again, then `headgate trigger`"
            )
        await self._pull(image)

    async def build(self, context: Path, digest: str) -> str:
        """The id of the image of a folder with a Dockerfile; built once per `digest` of its files.

        Raises `NeedsHuman` with the last words of a build that failed.
        """
        tag = f"{BUILT}:{digest.rpartition(':')[2]}"
        async with self._building.setdefault(tag, asyncio.Lock()):
            found = await self._used(tag)
            if found is None:
                await self._build(context, tag)
                found = await self._image(tag)
            if found is None:
                raise TryAgain(f"the image {tag} was built and removed; it is built again")
            return str(found["Id"])

    async def sweep(self, keep: Collection[str], before: float) -> int:
        """Remove what was built for this home, was used last before `before` (seconds since the
        epoch) and has no container, but for the digests in `keep` (hexadecimal); how many."""

        def swept(client: "DockerClient") -> int:
            from docker.errors import APIError

            gone = 0
            for image in client.images.list(BUILT, filters={"label": f"{HOME}={self.home}"}):
                used = datetime.fromisoformat(image.attrs["Metadata"]["LastTagTime"])
                tags = [tag for tag in image.tags if tag.startswith(f"{BUILT}:")]
                if used.timestamp() >= before or any(t.rpartition(":")[2] in keep for t in tags):
                    continue
                for tag in tags:
                    with contextlib.suppress(APIError):  # a container has it
                        client.api.remove_image(tag)
                        gone += 1
            return gone

        return await self.call(swept) if self.used else 0

    async def _used(self, tag: str) -> dict[str, Any] | None:
        """What was built under that tag, if it is there; its use is noted, for the sweep."""
        found = await self._image(tag)
        if found is not None:
            await self.call(lambda client: client.api.tag(found["Id"], tag))
        return found

    async def _image(self, reference: str) -> dict[str, Any] | None:
        def inspected(client: "DockerClient") -> dict[str, Any] | None:
            from docker.errors import ImageNotFound

            try:
                return dict(client.images.get(reference).attrs)
            except ImageNotFound:
                return None

        return await self.call(inspected)

    async def _pull(self, reference: str) -> None:
        words = _Words()

        def pulled(client: "DockerClient") -> Iterable[dict[str, Any]]:
            from docker.errors import APIError
            from docker.utils import parse_repository_tag

            name, tag = parse_repository_tag(reference)
            try:
                yield from client.api.pull(name, tag=tag or "latest", stream=True, decode=True)
            except APIError as error:
                raise _not_pulled(reference, _says(error)) from None

        if reference.startswith("sha256:"):
            raise _no_such(reference, "an image id can only be of this engine")
        await self.stream(pulled, words.take)
        if words.error:
            raise _not_pulled(reference, words.error)

    async def _build(self, context: Path, tag: str) -> None:
        words = _Words()

        def built(client: "DockerClient") -> Iterable[dict[str, Any]]:
            lines: Iterable[dict[str, Any]] = client.api.build(
                path=str(context), tag=tag, rm=True, forcerm=True, decode=True,
                labels={HOME: self.home},
            )  # fmt: skip
            return lines

        await self.stream(built, words.take)
        if words.error:
            raise NeedsHuman(
                "the image cannot be built; mend its Dockerfile. The build said: "
                f"{(words.tail + words.error).strip()[-TAIL:]}"
            )

    # -- the connection ------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where the engine is, for a reader."""
        return self._host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"

    def _shared(self) -> "DockerClient":
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> "DockerClient":
        import docker

        known: dict[str, Any] = {"timeout": PATIENCE, "max_pool_size": THREADS}
        if self._version:
            known["version"] = self._version  # else it is asked for each time
        if self._host is None:
            client = docker.from_env(**known)
        else:
            client = docker.DockerClient(base_url=self._host, **known)
        self._version = client.api.api_version
        return client

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what the SDK raises as a `Failure`."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except Failure:
            raise
        except APIError as error:
            if error.status_code is not None and error.status_code < 500:
                raise NeedsHuman(f"the Docker Engine refuses: {_says(error)}") from error
            raise TryAgain(f"the Docker Engine cannot do it now: {_says(error)}") from error
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> Failure:
        causes = list(_causes(error))
        if any(isinstance(each, PermissionError) for each in causes):
            return NeedsHuman(
                f"the Docker Engine at {self.address} does not let this user in: add it to the "
                "group that owns the socket (usually `docker`), or set `docker.host`"
            )
        if not any(isinstance(each, OSError) for each in causes):
            return NeedsHuman(f"the Docker Engine at {self.address} cannot be used: {error}")
        return TryAgain(
            f"the Docker Engine at {self.address} cannot be reached "
            f"({next((e.strerror for e in causes if isinstance(e, OSError) and e.strerror), error)}"
            "): start it, or set `docker.host` in the settings"
        )


def owner() -> tuple[int, int]:
    """The user and group that containers run as: the controller's own, or nobody for root."""
    uid, gid = os.getuid(), os.getgid()
    return (uid, gid) if uid else (NOBODY, NOBODY)


def confined(*, cpu: float | None = None, memory: int | None = None) -> dict[str, Any]:
    """What holds for every container, as arguments of `client.containers.create`: an ordinary
    user without capabilities, bounded processes, memory (bytes), processors and kept output."""
    from docker.types import LogConfig

    uid, gid = owner()
    return {
        "user": f"{uid}:{gid}",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,
        "pids_limit": PROCESSES,
        "nano_cpus": round(cpu * 1e9) if cpu else None,
        "mem_limit": memory,
        "memswap_limit": memory,
        "log_config": LogConfig(type=LogConfig.types.JSON, config=_KEPT),
        "healthcheck": {"test": ["NONE"]},
    }


class _Words:
    """What a pull or a build says: the end of it, and its error."""

    def __init__(self) -> None:
        self.tail = ""
        self.error = ""

    def take(self, line: dict[str, Any]) -> None:
        self.tail = (self.tail + str(line.get("stream", "")))[-TAIL:]
        self.error = str(line.get("error", "")) or self.error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that led to it, also what libraries only keep among their arguments."""
    while error is not None:
        yield error
        for each in error.args:
            if isinstance(each, BaseException):
                yield from _causes(each)
        error = error.__cause__ or error.__context__


def _says(error: "APIError") -> str:
    return str(error.explanation or error).strip()[-TAIL:]


def _repository(reference: str) -> str:
    from docker.utils import parse_repository_tag

    return str(parse_repository_tag(reference)[0])


def _no_such(reference: str, why: str) -> NeedsHuman:
    return NeedsHuman(
        f"there is no image {reference}: {why}; correct `image`, or load, build or push it"
    )


_DENIED = (
    "denied", "unauthorized", "not found", "unknown", "invalid reference", "no such image",
    "http 401", "http 403", "http 404",  # of what is no registry
)  # fmt: skip


def _not_pulled(reference: str, says: str) -> Failure:
    """The engine answers 404 or 500 as it likes, so its words tell."""
    if "no such host" not in says and any(word in says.lower() for word in _DENIED):
        return _no_such(reference, says)
    return TryAgain(f"the image {reference} cannot be pulled yet: {says}")
