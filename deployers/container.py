"""Runs one model server as a container: `python -m deployers.container`.

A supervised process stands for the container, like a shim: it starts the container, relays its
output, exits with its exit code, and removes it when asked to end. So containers are supervised in
the same way as processes, and outlive the controller. When the engine restarts, which ends its
containers, this one is started again as soon as the engine is back.

The order comes as JSON in the variable `HEADGATE_CONTAINER`, so that no secret is in a file.
"""

import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deployers.engine import HOME, confined
from deployers.place_folder import HOST
from deployers.protocol import DeploymentValue

if TYPE_CHECKING:
    from docker import DockerClient

GIVEN = "HEADGATE_CONTAINER"
GRACE = 8
"""Seconds between SIGTERM and SIGKILL inside the container; the supervisor's own grace is ten."""
AGAIN = 0.5
"""Seconds between attempts to reach an engine that is down."""
LAST = 5.0
"""Seconds to wait for the last output."""
SCRATCH = "size=256m,mode=1777"
"""Mount options of the container's /tmp, in memory; the rest of its file system is read-only."""


class Order(DeploymentValue):
    """The container to run."""

    host: str
    """The engine's address."""
    name: str
    labels: dict[str, str]
    image: str
    """An immutable reference: an id, or a name with a digest."""
    argv: tuple[str, ...]
    folder: str
    """The working directory, within `root`."""
    root: str
    """Mounted read-only, as is `model`, at the same path as outside."""
    model: str
    environment: dict[str, str]
    port: int
    """Published on 127.0.0.1 under the same number."""
    network: str
    """Shared by all servers of a place: the first one creates it, the last one removes it."""
    lock: str
    """Path of the lock file that guards this."""


class _Ending(BaseException):
    """This process was asked to end."""


class Keeper:
    """One container, from its start to its end."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._client: DockerClient | None = None

    def run(self) -> int:
        """Run it until it ends; its exit code."""
        client = self._reached()
        try:
            self._start(client)
            while True:
                code, seen = self._wait_for_end()
                if seen:
                    return code
                self._reached().containers.get(self._order.name).start()  # the engine ended it
        finally:
            # From here on a second signal must not prevent the container's removal.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._take_away()

    def _reached(self) -> "DockerClient":
        """A client of the engine, once that can be reached."""
        from docker import DockerClient
        from docker.errors import DockerException

        while True:
            try:
                if self._client is None:
                    self._client = DockerClient(base_url=self._order.host, timeout=60)
                self._client.ping()
            except (DockerException, OSError):
                time.sleep(AGAIN)
            else:
                return self._client

    def _start(self, client: "DockerClient") -> None:
        from docker.errors import NotFound

        with contextlib.suppress(NotFound):  # left by a keeper that was killed
            client.api.remove_container(self._order.name, force=True)
        with self._alone():
            if not client.networks.list(names=[self._order.network]):
                labels = {HOME: self._order.labels[HOME]}
                client.networks.create(self._order.network, driver="bridge", labels=labels)
            self._create(client)

    def _create(self, client: "DockerClient") -> None:
        from docker.types import Mount

        order = self._order
        program, *arguments = order.argv
        client.containers.create(
            order.image,
            arguments,
            entrypoint=[program],  # otherwise the image's own entrypoint would come first
            name=order.name,
            labels=order.labels,
            working_dir=order.folder,
            environment=order.environment,
            mounts=[
                Mount(path, path, type="bind", read_only=True)
                for path in dict.fromkeys((order.root, order.model))
            ],
            tmpfs={"/tmp": SCRATCH},  # noqa: S108 - inside the container
            network=order.network,
            ports={f"{order.port}/tcp": (HOST, order.port)},
            read_only=True,
            **confined(),
        ).start()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other servers of the place from starting or ending meanwhile."""
        with open(self._order.lock, "a") as lock:  # noqa: PTH123 - the path is given as text
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _wait_for_end(self) -> tuple[int, bool]:
        """Its exit code, and whether it ended by itself rather than with the engine."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        relay = threading.Thread(target=self._relay, args=(int(time.time()),), daemon=True)
        relay.start()
        away = False
        while True:
            client = self._reached()
            try:
                container = client.containers.get(self._order.name)
                if container.status not in ("created", "running", "restarting"):
                    break
                container.wait(timeout=None)
            except (DockerException, RequestException, OSError):
                away = True
                time.sleep(AGAIN)
        relay.join(LAST)
        state: dict[str, Any] = container.attrs["State"]
        if state["OOMKilled"]:
            print("its container ran out of memory", flush=True)
        code = int(state["ExitCode"])
        return code, not (away and code in (0, 137, 143, 255))

    def _relay(self, since: int) -> None:
        """Pass its output on. After an outage of the engine, output that it kept follows."""
        from docker import DockerClient
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        with contextlib.suppress(DockerException, RequestException, OSError):
            client = DockerClient(base_url=self._order.host, timeout=60)
            try:
                lines = client.api.logs(self._order.name, stream=True, follow=True, since=since)
                for line in lines:
                    sys.stdout.buffer.write(line)
                    sys.stdout.buffer.flush()
            finally:
                client.close()

    def _take_away(self) -> None:
        from docker.errors import APIError, DockerException

        if self._client is None:
            return
        with contextlib.suppress(DockerException, OSError):  # leftovers are reaped later
            with contextlib.suppress(APIError):
                self._client.api.stop(self._order.name, timeout=GRACE)
            with contextlib.suppress(APIError):
                self._client.api.remove_container(self._order.name, v=True, force=True)
            with contextlib.suppress(APIError), self._alone():  # fails while others use it
                self._client.api.remove_network(self._order.network)
            self._client.close()


def main() -> int:
    """Run the container of the order; its exit code."""
    from docker.errors import DockerException

    def end(*_: object) -> None:
        raise _Ending

    signal.signal(signal.SIGTERM, end)
    order = Order.model_validate_json(os.environ[GIVEN])
    try:
        return Keeper(order).run()
    except _Ending:
        return 0
    except DockerException as error:
        says = getattr(error, "explanation", None) or error
        print(f"the Docker Engine cannot run the container: {says}", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
