"""The traffic router: a process of its own that keeps running when the controller dies.

`python -m deployers.router --folder FOLDER` listens on the port given in that folder's
`router.json`, and takes orders on the unix socket beside it (`deployers.control`). It splits
requests between the stable and the canary server, and keeps the latest records in bounded memory.
An order is saved to the file before it is confirmed, so a restarted router has the same port,
servers and weight. If the file cannot be written, the order takes effect nevertheless, as a
rollback must not wait for a disk; the router reports this in its status and saves as soon as it
can. The data port serves nothing about the router itself.

In a pod it listens at the pod's address, takes orders over HTTP as well
(`deployers.remote_control`), and starts with the routing of a mounted file if its folder is new.

Without word from a controller (`deployers.silence`) it stops sending traffic to the canary by
itself. That is not saved: a restarted router waits for word from the start again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import secrets
import signal
import sys
import time
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from pydantic import ValidationError

from deployers.callers import CallerConnection
from deployers.control import SOCKET, STATE, Backend, RouterStatus, Routing, reachable, write
from deployers.protocol import Silence
from deployers.proxy import Limits, Proxy, Split
from deployers.remote_control import TOKEN, controlled
from deployers.silence import DeadMansSwitch
from deployers.upstream import Upstream
from specs.traffic import Arm

_LAST_WORDS = 30.0
"""Seconds that requests in flight may take after the router was asked to end."""
_LOOK = 1.0
"""Seconds between checks of time limits."""
_OTHER_FILES = 256
"""Open files other than connections of callers and the server connections that go with them."""


class RemoteControl(NamedTuple):
    """Where a router takes orders over HTTP, and the token that they need."""

    port: int
    token: str


class Router:
    """The control side of the router: orders, the saved routing, the port, draining servers."""

    def __init__(
        self, folder: Path, limits: Limits, host: str = "127.0.0.1", start: Path | None = None
    ) -> None:
        """`start` is the file with the routing to begin with, if there is none in the folder."""
        self._folder = folder
        self._host = host
        self._first = start
        self._epoch = secrets.token_hex(8)
        self._proxy = Proxy(limits)
        self._proxy.drained = self._drained
        self._servers: dict[Backend, Upstream] = {}
        self._routing = Routing()
        self._kept: Routing | None = None
        """The routing in the file, as far as is known."""
        self._unkept = ""
        """Why the present routing could not be saved; empty if it was."""
        self._listener: asyncio.Server | None = None
        self._order = asyncio.Lock()
        self._switch = DeadMansSwitch(time.monotonic())
        self._silent: float | None = None
        """Since when the canary gets no traffic for want of word, in seconds since the epoch."""
        self._quiet = asyncio.Event()
        """Set whenever a server has no more requests in flight."""

    async def run(self, remote: RemoteControl | None = None) -> None:
        """Serve until SIGTERM, then finish the requests in flight. `remote` is where to take orders
        over HTTP, if anywhere."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.route(_read(self._folder / STATE, self._first))
        control = await self._listen_for_orders()
        async with AsyncExitStack() as stack:
            if remote is not None:
                told = controlled(self._host, remote.port, remote.token, self._obey)
                await stack.enter_async_context(told)
            await self._until(stop)
        control.close()
        await self._finish()

    async def _until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(_LOOK, self._routing.silence / 4))
            self._proxy.sweep()
            self._keep()
            self._check_silence()

    async def route(self, routing: Routing) -> Routing:
        """Put a routing into effect for all requests from now on.

        Raises OSError if its port is not available; the previous routing then stays in effect.
        """
        async with self._order:
            listener = self._listener
            if listener is None or routing.port not in {0, self._routing.port}:
                listener = await asyncio.get_running_loop().create_server(
                    lambda: CallerConnection(self._proxy), self._host, routing.port, backlog=1024
                )
            port = listener.sockets[0].getsockname()[1]
            settled = routing.model_copy(update={"port": port})
            changed = settled != self._routing
            if self._listener not in {None, listener}:
                assert self._listener is not None
                self._listener.close()
            self._listener, self._routing = listener, settled
            self._keep()
            self._switch.routed(time.monotonic(), changed=changed)
            self._silent = self._silent if self._switch.over else None
            self._split()
            return self._in_force()

    def _keep(self) -> None:
        """Save the present routing to the file."""
        if self._kept == self._routing:
            return
        path = self._folder / STATE
        try:
            write(path, self._routing)
        except OSError as error:
            self._unkept = f"{path}: {error.strerror or error}"
        else:
            self._kept, self._unkept = self._routing, ""

    def _split(self) -> None:
        """Split all requests from now on by the routing in effect."""
        routing = self._in_force()
        self._proxy.split = Split(
            stable=self._upstream(routing.stable),
            canary=self._upstream(routing.canary),
            weight=routing.weight,
            seed=routing.seed,
        )
        self._proxy.trusted = [ip_network(each) for each in routing.trusted]
        for server in list(self._servers.values()):
            self._drained(server)

    def _in_force(self) -> Routing:
        """The ordered routing, but with weight 0 for an unwatched canary beside a stable server."""
        alone = self._silent is not None and self._routing.stable is not None
        return self._routing.model_copy(update={"weight": 0.0}) if alone else self._routing

    def _check_silence(self) -> None:
        """Stop the canary's traffic once there was no word from a controller for too long."""
        routing = self._routing
        shared = routing.stable is not None and routing.canary is not None and routing.weight > 0
        if shared and self._switch.trips(routing.silence, time.monotonic()):
            self._silent = self._proxy.clock()
            self._split()

    def status(self) -> RouterStatus:
        """The routing in effect, and the requests in flight."""
        answers: dict[str, dict[str, int]] = {arm: {} for arm in Arm}
        for (arm, status), count in self._proxy.ring.answers.items():
            answers[arm][str(status)] = count
        servers = self._servers.values()
        return RouterStatus(
            epoch=self._epoch,
            routing=self._in_force(),
            silence=self._silence(),
            in_flight={server.name: server.in_flight for server in servers},
            answers=answers,
            heard={server.name: server.heard for server in servers},
            unkept=self._unkept,
        )

    def _silence(self) -> Silence | None:
        if self._silent is None:
            return None
        return Silence(since=self._silent, limit=self._routing.silence)

    def _upstream(self, backend: Backend | None) -> Upstream | None:
        if backend is None:
            return None
        if backend not in self._servers:
            predict = backend.predict.encode()
            self._servers[backend] = Upstream(
                backend.name, backend.host, backend.port, predict, backend.bounds
            )
        return self._servers[backend]

    def _drained(self, server: Upstream) -> None:
        """Forget a server that has no arm and no requests in flight."""
        self._quiet.set()
        split = self._proxy.split
        if server.in_flight or server in {split.stable, split.canary}:
            return
        server.close()
        self._servers = {key: known for key, known in self._servers.items() if known is not server}

    async def _listen_for_orders(self) -> asyncio.Server:
        path = self._folder / SOCKET
        path.unlink(missing_ok=True)
        with reachable(path) as name:
            server = await asyncio.start_unix_server(self._orders, name)
        path.chmod(0o600)
        return server

    async def _orders(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError), contextlib.closing(writer):
            while line := await reader.readline():
                writer.write(json.dumps(await self._obey(line)).encode() + b"\n")
                await writer.drain()

    async def _obey(self, line: bytes) -> dict[str, Any]:
        try:
            order = json.loads(line)
            match order["do"]:
                case "route":
                    settled = await self.route(Routing.model_validate(order["routing"]))
                    return {"done": settled.model_dump()}
                case "status":
                    return {"done": self.status().model_dump()}
                case "traffic":
                    return {"done": self._traffic(order["epoch"], order["after"])}
                case unknown:
                    return {"refused": f"there is no order {unknown!r}"}
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            return {"refused": f"not an order: {error}"}
        except OSError as error:
            return {"refused": str(error)}

    def _traffic(self, epoch: str | None, after: int) -> dict[str, Any]:
        start = after if epoch == self._epoch else 0
        if epoch == self._epoch:
            self._switch.read(after, self._proxy.ring.count, time.monotonic())
        page = self._proxy.ring.page(start)
        return {
            "epoch": self._epoch,
            "first": page.first,
            "records": page.records,
            "start": start,
            "waiting": self._proxy.waiting(),
            "now": self._proxy.clock(),
        }

    async def _finish(self) -> None:
        """Accept no new connections, and wait for the requests in flight."""
        self._proxy.closing = True
        if self._listener is not None:
            self._listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                while any(server.in_flight for server in self._servers.values()):
                    self._quiet.clear()
                    await self._quiet.wait()
        for caller in list(self._proxy.callers):
            caller.close()
        await asyncio.sleep(0)


def _read(path: Path, first: Path | None) -> Routing:
    try:
        return Routing.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Routing() if first is None else Routing.model_validate_json(first.read_bytes())


def main() -> None:
    """The command line of the router's process."""
    parser = argparse.ArgumentParser(prog="python -m deployers.router", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--control-port", type=int, help=f"take orders over HTTP; needs {TOKEN}")
    parser.add_argument("--start", type=Path, help="the routing to begin with, in a new folder")
    given = parser.parse_args()
    folder: Path = given.folder
    remote = None
    if given.control_port is not None:
        remote = RemoteControl(given.control_port, os.environ.pop(TOKEN, ""))
        if not remote.token:
            sys.exit(f"--control-port needs a token in {TOKEN}")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(folder, given.host, given.start, remote))
    except ValidationError as error:
        sys.exit(f"{folder / STATE} is damaged; remove it to start afresh: {error}")
    except OSError as error:
        sys.exit(f"the router cannot listen: {error}")


async def _serve(folder: Path, host: str, start: Path | None, remote: RemoteControl | None) -> None:
    await Router(folder, Limits(callers=_room(Limits().callers)), host, start).run(remote)


def _room(callers: int) -> int:
    """How many connections from callers the limit on open files allows, `callers` at most: each may
    need a connection to a server, and as many again are accepted only to be refused.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * callers + _OTHER_FILES
    files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    if now != resource.RLIM_INFINITY and now < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return max((files - _OTHER_FILES) // 3, 1)


if __name__ == "__main__":
    main()
