"""PURE. Which server the router sends each arm to."""

from collections.abc import Iterator, Mapping

from deployers.control import Backend, Routing
from deployers.place_folder import Placed
from deployers.protocol import Server


def reached(backend: Backend | None, placed: Mapping[str, Placed]) -> str | None:
    """The name of the server the router sends to; None if that server moved to another port."""
    there = placed.get(backend.name) if backend else None
    return there.name if there and backend and there.port == backend.port else None


def named(routing: Routing) -> Iterator[str]:
    """The names of the servers that have an arm."""
    return (backend.name for backend in (routing.stable, routing.canary) if backend is not None)


def successor(
    server: Server | None, now: Backend | None, ready: Mapping[str, Backend]
) -> Backend | None:
    """The server that gets an arm: the desired one if it is ready, until then the present one."""
    return None if server is None else ready.get(server.name, now)


def kept(server: Server, now: Backend) -> Backend | None:
    """A canary keeps its arm even while it is not ready: its failures are the signal."""
    return now if now.name == server.name else None
