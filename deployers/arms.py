"""PURE. Which server gets which arm of the router."""

from collections.abc import Iterator, Mapping

from deployers.control import Backend, Routing
from deployers.protocol import Server
from deployers.site import Placed


def reached(backend: Backend | None, placed: Mapping[str, Placed]) -> str | None:
    """The server that the router really sends to: one that moved to another port is not it."""
    there = placed.get(backend.name) if backend else None
    return there.name if there and backend and there.port == backend.port else None


def named(routing: Routing) -> Iterator[str]:
    return (backend.name for backend in (routing.stable, routing.canary) if backend is not None)


def successor(
    server: Server | None, now: Backend | None, ready: Mapping[str, Backend]
) -> Backend | None:
    """Who gets an arm: the wanted server if it is ready, until then the one that has it."""
    return None if server is None else ready.get(server.name, now)


def kept(server: Server, now: Backend) -> Backend | None:
    """A canary that has its arm keeps it although it is not ready: its failures are the signal."""
    return now if now.name == server.name else None
