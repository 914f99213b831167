"""What is kept on this machine of a place that KServe serves, and the view of other processes."""

from pathlib import Path
from typing import ClassVar, Final

from deployers.protocol import Glance, ServerLog, Traffic, Unwatched
from deployers.saved_place import SavedPlace
from specs.failures import TryAgain

KSERVE: Final = "kserve"
"""The name of the deployer, and the folder of its places in the home of all targets."""


class KServePlace(SavedPlace):
    """What the cluster cannot be asked. If it is lost, the next `apply` and `observe` know it."""

    folder: ClassVar[str] = KSERVE
    address: str | None = None
    """Where it answers, as last observed."""
    errors: tuple[str, ...] = ("no_answer", "5xx")
    """What counts as an error."""


class KServeWindow:
    """The `Window` to places that KServe serves. It does not ask the cluster."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def glance(self, place: str) -> Glance:
        """Where it answers, as the controller last observed it."""
        return Glance(address=(KServePlace.load(self._home, place) or KServePlace()).address)

    async def unwatched(self) -> tuple[Unwatched, ...]:
        """Nothing: KServe does not notice whether anybody watches a canary."""
        return ()

    async def traffic(self, place: str) -> Traffic:
        """Raises TryAgain: only the controller reads the counters."""
        raise TryAgain(f"{place} is served by KServe, whose traffic only the controller reads")

    def logs(self, _place: str, _server: str) -> tuple[ServerLog, ...]:
        """Nothing: the cluster keeps the logs of its pods."""
        return ()
