"""What is saved of a place behind a gateway, and a look at it from another process."""

from pathlib import Path
from typing import ClassVar, Final

from deployers.kubernetes.routes import RouteSplit
from deployers.protocol import Glance, ServerLog, Traffic, Unwatched
from deployers.saved_place import SavedPlace
from specs.failures import TryAgain

GATEWAY: Final = "gateway"
"""The folder of these places in the home of all targets."""


class GatewayPlace(SavedPlace):
    """What is saved of a place. No secrets."""

    folder: ClassVar[str] = GATEWAY
    place: str
    address: str | None = None
    """Where it answers; None while it has no route."""
    in_force: RouteSplit = RouteSplit()
    """How the traffic was split when that was last known."""


class GatewayWindow:
    """The `Window` to what a `GatewayDeployer` with the same home runs. It asks nobody."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def glance(self, place: str) -> Glance:
        """Where it answers, as the controller last observed it."""
        saved = GatewayPlace.load(self._home, place)
        return Glance(address=saved.address if saved else None)

    async def unwatched(self) -> tuple[Unwatched, ...]:
        """Nothing: a gateway does not know whether anybody watches."""
        return ()

    async def traffic(self, place: str) -> Traffic:
        """Raises TryAgain: only the controller reads counters."""
        raise TryAgain(f"{place} is behind a gateway, whose counters only the controller reads")

    def logs(self, _place: str, _server: str) -> tuple[ServerLog, ...]:
        """Nothing: the cluster keeps the logs of its pods."""
        return ()
