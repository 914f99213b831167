"""A look at what serves on a cluster, from another process than the controller."""

import asyncio
from pathlib import Path

from deployers.control import RouterRefusedError, RouterStatus
from deployers.kubernetes.router_link import ClusterPlace, RouterLink
from deployers.protocol import Glance, ServerLog, Traffic, Unwatched
from deployers.record_reader import traffic_of
from specs.failures import TryAgain

_PATIENCE = 1.0
"""Seconds that a router may take to answer."""


class KubernetesWindow:
    """The `Window` to what a `KubernetesDeployer` with the same home runs. It asks routers only."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def glance(self, place: str) -> Glance:
        """What the router says of itself; its address comes from the saved file."""
        saved = ClusterPlace.load(self._home, place)
        if saved is None or saved.address is None:
            return Glance()
        link = RouterLink()
        try:
            status = await _status(link, saved)
        finally:
            await link.close()
        return Glance(address=saved.address, silence=status.silence if status else None)

    async def unwatched(self) -> tuple[Unwatched, ...]:
        """The canaries of all places that lost their traffic because nobody watched them."""
        link = RouterLink()
        running = [saved for saved in ClusterPlace.all(self._home) if saved.address is not None]
        try:
            found = await asyncio.gather(*(_status(link, saved) for saved in running))
        finally:
            await link.close()
        return tuple(
            Unwatched(server=status.routing.canary.name, silence=status.silence)
            for status in found
            if status is not None and status.silence and status.routing.canary
        )

    async def traffic(self, place: str) -> Traffic:
        """The oldest page of records. Raises TryAgain without a router."""
        saved, link = ClusterPlace.load(self._home, place), RouterLink()
        if saved is None:
            raise TryAgain(f"nothing was deployed to {place}")
        try:
            return traffic_of(await link.ask(saved, "traffic", epoch=None, after=0))
        except (OSError, RouterRefusedError) as error:
            raise TryAgain(f"{place}: {error}") from None
        finally:
            await link.close()

    def logs(self, _place: str, _server: str) -> tuple[ServerLog, ...]:
        """Nothing: the cluster keeps the logs of its pods."""
        return ()


async def _status(link: RouterLink, saved: ClusterPlace) -> RouterStatus | None:
    """What a router says; None if it does not, or not to us."""
    try:
        return await link.status(saved, seconds=_PATIENCE)
    except TryAgain:
        return None
