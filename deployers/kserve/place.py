"""What is kept on this machine of a place that KServe serves, and the view of other processes."""

from pathlib import Path
from typing import Final

from deployers.place_folder import Site
from deployers.protocol import Glance, SavedValue, ServerLog, Traffic, Unwatched
from specs.failures import TryAgain

KSERVE: Final = "kserve"
"""The name of the deployer, and the folder of its places in the home of all targets."""


class KServePlace(SavedValue):
    """What the cluster cannot be asked. If it is lost, the next `apply` and `observe` know it."""

    address: str | None = None
    """Where it answers, as last observed."""
    errors: tuple[str, ...] = ("no_answer", "5xx")
    """What counts as an error."""

    @classmethod
    def load(cls, home: Path, place: str) -> "KServePlace":
        """What was kept."""
        try:
            return cls.model_validate_json(_file(home, place).read_bytes())
        except FileNotFoundError:
            return cls()

    def save(self, home: Path, place: str) -> None:
        """Keep it, in one piece."""
        file = _file(home, place)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(self.model_dump_json())
        new.replace(file)

    @staticmethod
    def forget(home: Path, place: str) -> None:
        """Delete it."""
        _file(home, place).unlink(missing_ok=True)


def _file(home: Path, place: str) -> Path:
    return home / KSERVE / f"{Site.of(home, place).key}.json"


class KServeWindow:
    """The `Window` to places that KServe serves. It does not ask the cluster."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def glance(self, place: str) -> Glance:
        """Where it answers, as the controller last observed it."""
        return Glance(address=KServePlace.load(self._home, place).address)

    async def unwatched(self) -> tuple[Unwatched, ...]:
        """Nothing: KServe does not notice whether anybody watches a canary."""
        return ()

    async def traffic(self, place: str) -> Traffic:
        """Raises TryAgain: only the controller reads the counters."""
        raise TryAgain(f"{place} is served by KServe, whose traffic only the controller reads")

    def logs(self, _place: str, _server: str) -> tuple[ServerLog, ...]:
        """Nothing: the cluster keeps the logs of its pods."""
        return ()
