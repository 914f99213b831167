"""Probes the servers of this machine, and remembers when each last gave a sign of life."""

import time
from typing import TYPE_CHECKING, NamedTuple

from deployers.control import RouterStatus, Routing
from deployers.liveness import Patience, Signs, bears, hangs, look
from deployers.place_folder import HOST, Placed
from specs.figures import duration
from specs.traffic import Arm

if TYPE_CHECKING:
    import httpx

PROBE = 2.0
"""Seconds that the ready path may take to answer."""


class Probe(NamedTuple):
    """The result of a request to the ready path."""

    problem: str
    """Why the server is not ready; empty if it is."""
    answered: bool
    """Whether it answered, with any status."""


class Health:
    """The health of the servers of one home, by process name. It is kept in memory only: after a
    restart of the controller, every server has its full time again."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None  # until there is a server to probe
        self._signs: dict[str, Signs] = {}

    async def probe(self, placed: Placed) -> Probe:
        """Ask a running server whether it is ready."""
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=PROBE,
                trust_env=False,
                # An idle connection could keep a server from shutting down.
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        try:
            answer = await self._client.get(f"http://{HOST}:{placed.port}{placed.ready}")
        except httpx.TimeoutException:
            return Probe(f"{placed.ready} did not answer within {duration(PROBE)}", answered=False)
        except httpx.HTTPError:
            return Probe(f"no answer on port {placed.port} yet", answered=False)
        if answer.status_code == 200:
            return Probe("", answered=True)
        return Probe(f"{placed.ready} answered {answer.status_code}", answered=True)

    def look(self, process: str, probe: Probe, answers: int) -> None:
        """Record a probe of a running server; `answers` counts its responses to callers."""
        before, now = self._signs.get(process), time.monotonic()
        self._signs[process] = look(before, now, ready=probe.answered, answers=answers)

    def forget(self, process: str) -> None:
        """Forget a process that ended; the next one of that name starts afresh."""
        self._signs.pop(process, None)

    def hangs(self, process: str, patience: Patience) -> bool:
        """Whether it has given no sign of life for too long."""
        signs = self._signs.get(process)
        return signs is not None and hangs(signs, patience, time.monotonic())

    def silence(self, process: str, patience: Patience) -> str:
        """How long it has been silent and when it is restarted, in words; empty if not silent."""
        signs = self._signs.get(process)
        if signs is None or not signs.silent:
            return ""
        silent = time.monotonic() - signs.last
        return (
            f"nothing was answered for {duration(silent)}; it is restarted after "
            f"{duration(bears(signs, patience))}"
        )

    async def close(self) -> None:
        """Close the HTTP client."""
        if self._client is not None:
            await self._client.aclose()


def patience_of(placed: Placed) -> Patience:
    """How long a server may be silent."""
    return Patience(placed.hung_after, placed.startup)


def arm_of(name: str, router: RouterStatus | None) -> Arm | None:
    """Which arm a server has, if any."""
    routing = router.routing if router is not None else Routing()
    if routing.stable is not None and routing.stable.name == name:
        return Arm.STABLE
    return Arm.CANARY if routing.canary is not None and routing.canary.name == name else None


def answered(name: str, router: RouterStatus | None) -> int:
    """How often a part of any response to callers came from a server."""
    return router.heard.get(name, 0) if router is not None else 0
