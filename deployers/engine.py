"""The Docker Engine, as used for both steps and model servers that run as containers.

A thin layer over the `docker` SDK. The SDK blocks, so each call runs in a thread pool, and its
exceptions become `Failure`s that say what to do. The connection is made when it is first needed.
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

from deployers.engine_streams import PATIENCE, Wire, in_thread
from specs.failures import Failure, NeedsHuman, TryAgain

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.errors import APIError

T = TypeVar("T")
Kind = Literal["step", "server"]

HOME, KIND, NAME = "dev.headgate.home", "dev.headgate.kind", "dev.headgate.name"
"""Labels of everything that is started: the controller's home, the kind and the name."""
BUILT = "headgate/build"
"""The name of images built here; the tag is the digest of the build context's files."""
NOBODY = 65532
"""The user and group of containers where the controller is root."""
THREADS = 8
"""Concurrent calls to the engine, not counting streams."""
CUT = 1.0
"""Seconds for a stream to end once its connection is cut."""
TAIL = 1500
"""Characters from the end of a build's output that a message quotes."""
PROCESSES = 4096
"""Processes and threads that one container may have."""
_KEPT = {"max-size": "32m", "max-file": "3"}
"""How much of a container's output the engine keeps, for a controller that was restarted; by
default it keeps all."""


class EngineContainer(NamedTuple):
    """A container of this home, as the engine lists it."""

    id: str
    name: str
    """The attempt's id, or the server's name."""
    state: str
    """`created`, `running`, `restarting`, `exited`, ..."""


class Engine:
    """The engine at `host` (None: DOCKER_HOST, else the usual socket), for one controller's home.

    Every method that calls the engine raises `TryAgain` while it cannot be reached, and
    `NeedsHuman` for errors that do not go away by themselves.
    """

    def __init__(self, host: str | None, home: Path) -> None:
        self._host = host
        self._mark = home / "engine-id"
        self._version: str | None = None
        self._client: DockerClient | None = None
        self._connecting = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="engine")
        self._building: dict[str, asyncio.Lock] = {}

    # -- ownership -----------------------------------------------------------------------------

    @property
    def used(self) -> bool:
        """Whether this home ever started anything on an engine."""
        return self._mark.exists()

    @property
    def home(self) -> str:
        """The id of the controller's home: random, made once and stored there."""
        with contextlib.suppress(FileNotFoundError):
            return self._mark.read_text()
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._mark.with_name(f".engine-id-{token_hex(4)}")
        scratch.write_text(token_hex(8))
        with contextlib.suppress(FileExistsError):
            os.link(scratch, self._mark)  # atomic: the first one wins
        scratch.unlink()
        return self._mark.read_text()

    def container(self, name: str) -> str:
        """The name of the container for an attempt or a server of that name.

        It contains the home's id, as two controllers that share an engine may both have a
        `flights-1.train.1`.
        """
        return f"headgate-{name}-{self.home}"

    def labels(self, kind: Kind, name: str) -> dict[str, str]:
        """The labels of a container."""
        return {HOME: self.home, KIND: kind, NAME: name}

    async def containers(self, kind: Kind) -> list[EngineContainer]:
        """All containers of this home, including those that ended."""

        def listed(client: "DockerClient") -> list[EngineContainer]:
            wanted = {"label": [f"{HOME}={self.home}", f"{KIND}={kind}"]}
            return [
                EngineContainer(each["Id"], each["Labels"][NAME], each["State"])
                for each in client.api.containers(all=True, filters=wanted)
            ]

        return await self.call(listed) if self.used else []

    async def remove(self, container: str) -> None:
        """End and delete a container, by its id or name; does nothing if it does not exist."""

        def removed(client: "DockerClient") -> None:
            from docker.errors import APIError, NotFound

            try:
                client.api.remove_container(container, v=True, force=True)
            except NotFound:
                pass
            except APIError as error:
                if error.status_code != 409:  # it is being removed already
                    raise

        await self.call(removed)

    # -- calls ---------------------------------------------------------------------------------

    async def call(self, work: Callable[["DockerClient"], T]) -> T:
        """The result of `work`, called in a thread with the SDK's client.

        A cancelled call goes on in its thread. `work` catches the errors of `docker.errors` that it
        expects; all others become a `Failure`.
        """

        def called() -> T:
            with self._explained():
                return work(self._shared())

        return await asyncio.get_running_loop().run_in_executor(self._pool, called)

    async def stream(
        self, opened: Callable[["DockerClient"], Iterable[T]], take: Callable[[T], None]
    ) -> None:
        """Pass everything that `opened` yields to `take`, in a thread of its own.

        On cancellation the connection is cut, which makes the engine abandon a pull or a build. A
        stream without any response yet is left to its thread, which discards it.
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
        """Disconnect; containers keep running. Callers must have cancelled their streams."""
        ending = in_thread(lambda: self._pool.shutdown(wait=True, cancel_futures=True))
        await ending
        if self._client is not None:
            self._client.close()
            self._client = None

    # -- images --------------------------------------------------------------------------------

    async def resolve(self, reference: str) -> str:
        """An immutable reference to the image: `name@sha256:...`, or the id of a local image.

        Pulls an image that is not present. Raises `NeedsHuman` if it does not exist.
        """
        found = await self._image(reference)
        if found is None:
            await self._pull(reference)
            found = await self._image(reference)
        if found is None:
            raise _no_such(reference, "it was pulled but is not on the engine")
        if "@" in reference:
            return reference
        digests: list[str] = found["RepoDigests"] or []
        name = _repository(reference)
        return next((d for d in digests if d.partition("@")[0] == name), str(found["Id"]))

    async def ensure(self, image: str) -> None:
        """Make sure that an image that was resolved before is present; pull it again if not."""
        if await self._image(image) is not None:
            return
        if "@" not in image:
            raise NeedsHuman(
                f"the image {image} is no longer on the Docker Engine and cannot be pulled by its "
                "id: load or build it again, then `headgate trigger`"
            )
        await self._pull(image)

    async def build(self, context: Path, digest: str) -> str:
        """The id of the image of a folder with a Dockerfile; built once per `digest` of its files.

        Raises `NeedsHuman` with the end of the output of a build that failed.
        """
        tag = f"{BUILT}:{digest.rpartition(':')[2]}"
        async with self._building.setdefault(tag, asyncio.Lock()):
            found = await self._used(tag)
            if found is None:
                await self._build(context, tag)
                found = await self._image(tag)
            if found is None:
                raise TryAgain(f"the image {tag} was removed after its build; it will be rebuilt")
            return str(found["Id"])

    async def sweep(self, keep: Collection[str], before: float) -> int:
        """Remove images built for this home that have no container and were last used before
        `before` (seconds since the epoch), except the digests in `keep` (hexadecimal); how many."""

        def swept(client: "DockerClient") -> int:
            from docker.errors import APIError

            gone = 0
            for image in client.images.list(BUILT, filters={"label": f"{HOME}={self.home}"}):
                used = datetime.fromisoformat(image.attrs["Metadata"]["LastTagTime"])
                tags = [tag for tag in image.tags if tag.startswith(f"{BUILT}:")]
                if used.timestamp() >= before or any(t.rpartition(":")[2] in keep for t in tags):
                    continue
                for tag in tags:
                    with contextlib.suppress(APIError):  # a container uses it
                        client.api.remove_image(tag)
                        gone += 1
            return gone

        return await self.call(swept) if self.used else 0

    async def _used(self, tag: str) -> dict[str, Any] | None:
        """The image with that tag, if present; renews its time of last use, for the sweep."""
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
            raise _no_such(reference, "an image id can only name an image on this engine")
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
                "the image cannot be built; fix its Dockerfile. The build said: "
                f"{(words.tail + words.error).strip()[-TAIL:]}"
            )

    # -- the connection ------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """The engine's address, for messages."""
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
            known["version"] = self._version  # otherwise the SDK asks for it each time
        if self._host is None:
            client = docker.from_env(**known)
        else:
            client = docker.DockerClient(base_url=self._host, **known)
        self._version = client.api.api_version
        return client

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn exceptions of the SDK into a `Failure`."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except Failure:
            raise
        except APIError as error:
            if error.status_code is not None and error.status_code < 500:
                raise NeedsHuman(f"the Docker Engine refused: {_says(error)}") from error
            raise TryAgain(f"the Docker Engine failed: {_says(error)}") from error
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> Failure:
        causes = list(_causes(error))
        if any(isinstance(each, PermissionError) for each in causes):
            return NeedsHuman(
                f"this user may not use the Docker Engine at {self.address}: add it to the group "
                "that owns the socket (usually `docker`), or set `docker.host`"
            )
        if not any(isinstance(each, OSError) for each in causes):
            return NeedsHuman(f"the Docker Engine at {self.address} cannot be used: {error}")
        return TryAgain(
            f"the Docker Engine at {self.address} cannot be reached "
            f"({next((e.strerror for e in causes if isinstance(e, OSError) and e.strerror), error)}"
            "): start it, or set `docker.host` in the settings"
        )


def owner() -> tuple[int, int]:
    """The user and group of containers: the controller's own, or `NOBODY` if that is root."""
    uid, gid = os.getuid(), os.getgid()
    return (uid, gid) if uid else (NOBODY, NOBODY)


def confined(*, cpu: float | None = None, memory: int | None = None) -> dict[str, Any]:
    """Arguments of `client.containers.create` for every container: an unprivileged user without
    capabilities, and limits on processes, memory (bytes), processors and kept output."""
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
    """The output of a pull or a build: its end, and its error."""

    def __init__(self) -> None:
        self.tail = ""
        self.error = ""

    def take(self, line: dict[str, Any]) -> None:
        self.tail = (self.tail + str(line.get("stream", "")))[-TAIL:]
        self.error = str(line.get("error", "")) or self.error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all its causes, including those that libraries only keep as arguments."""
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
    "http 401", "http 403", "http 404",  # from a host that is not a registry
)  # fmt: skip


def _not_pulled(reference: str, says: str) -> Failure:
    """The engine's status (404 or 500) does not tell the cause, so this goes by its message."""
    if "no such host" not in says and any(word in says.lower() for word in _DENIED):
        return _no_such(reference, says)
    return TryAgain(f"the image {reference} cannot be pulled yet: {says}")
