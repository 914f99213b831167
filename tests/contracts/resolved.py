"""A deployer seen by callers who find its host names, as a resolver on their network makes them."""

from pathlib import Path
from typing import Any

from deployers.kubernetes.gateway_place import GatewayWindow
from deployers.protocol import Deployed, Deployer, Desired, Glance, Traffic


class ResolvedDeployer:
    """The deployer, whose places all answer at `url`."""

    def __init__(self, deployer: Deployer, url: str) -> None:
        self._deployer = deployer
        self._url = url

    async def apply(self, place: str, desired: Desired) -> None:
        await self._deployer.apply(place, desired)

    async def observe(self, place: str) -> Deployed:
        seen = await self._deployer.observe(place)
        return seen.model_copy(update={"address": self._url if seen.address else None})

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        return await self._deployer.traffic(place, epoch, after)

    async def stop(self, place: str) -> None:
        await self._deployer.stop(place)

    async def remove(self, place: str) -> None:
        await self._deployer.remove(place)

    async def reap(self) -> int:
        return await self._deployer.reap()

    async def forget_logs(self, before: float) -> int:
        return await self._deployer.forget_logs(before)

    async def close(self) -> None:
        await self._deployer.close()


class ResolvedWindow(GatewayWindow):
    """The window, to places that all answer at `url`."""

    def __init__(self, home: Path, url: str) -> None:
        super().__init__(home)
        self._url = url

    async def glance(self, place: str) -> Glance:
        seen = await super().glance(place)
        update: dict[str, Any] = {"address": self._url if seen.address else None}
        return seen.model_copy(update=update)
