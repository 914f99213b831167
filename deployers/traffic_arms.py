"""PURE. Which server the router sends each arm to."""

from collections.abc import Iterator, Mapping
from typing import Any

from deployers.control import Backend, Routing
from deployers.place_folder import Placed
from deployers.protocol import Desired, Server


def reached(backend: Backend | None, placed: Mapping[str, Placed]) -> str | None:
    """The name of the server the router sends to; None if that server moved to another port."""
    there = placed.get(backend.name) if backend else None
    return there.name if there and backend and there.port == backend.port else None


def named(routing: Routing) -> Iterator[str]:
    """The names of the servers that have an arm."""
    return (backend.name for backend in (routing.stable, routing.canary) if backend is not None)


def next_routing(
    desired: Desired, now: Routing, ready: Mapping[str, Backend], common: Mapping[str, Any]
) -> Routing:
    """The routing that follows `now`, to the desired servers as far as they are ready. `common` are
    the fields that are the same for all routers."""
    canary = None
    if desired.canary is not None:
        canary = _successor(desired.canary, None, ready)
        if canary is None and now.canary is not None:
            canary = _kept(desired.canary, now.canary)
    return Routing(
        stable=_successor(desired.stable, now.stable, ready),
        canary=canary,
        weight=desired.canary_weight if canary is not None else 0.0,
        seed=desired.seed,
        port=now.port,
    ).model_copy(update=common)


def _successor(
    server: Server | None, now: Backend | None, ready: Mapping[str, Backend]
) -> Backend | None:
    """The server that gets an arm: the desired one if it is ready, until then the present one."""
    return None if server is None else ready.get(server.name, now)


def _kept(server: Server, now: Backend) -> Backend | None:
    """A canary keeps its arm even while it is not ready: its failures are the signal."""
    return now if now.name == server.name else None
