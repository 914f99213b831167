"""What is saved of a place behind a gateway, and a look at it from another process."""

from pathlib import Path
from typing import Final, Self

from deployers.kubernetes.routes import RouteSplit
from deployers.place_folder import Site
from deployers.protocol import Glance, SavedValue, ServerLog, Traffic, Unwatched
from specs.failures import TryAgain

GATEWAY: Final = "gateway"
"""The folder of these places in the home of all targets."""


class GatewayPlace(SavedValue):
    """What is saved of a place. No secrets."""

    place: str
    address: str | None = None
    """Where it answers; None while it has no route."""
    in_force: RouteSplit = RouteSplit()
    """How the traffic was split when that was last known."""

    @classmethod
    def load(cls, home: Path, place: str) -> Self | None:
        """The saved place, or None."""
        try:
            return cls.model_validate_json(_file(home, place).read_bytes())
        except FileNotFoundError:
            return None

    def save(self, home: Path) -> None:
        """Save it, in one piece."""
        file = _file(home, self.place)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(self.model_dump_json())
        new.replace(file)

    @staticmethod
    def forget(home: Path, place: str) -> None:
        """Delete it."""
        _file(home, place).unlink(missing_ok=True)


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


def _file(home: Path, place: str) -> Path:
    return home / GATEWAY / f"{Site.of(home, place).key}.json"
