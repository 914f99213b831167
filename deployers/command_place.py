"""What is saved of a place that the team's scripts deploy to."""

from pathlib import Path
from typing import ClassVar, Final

from deployers.protocol import Glance, Scripts, ServerLog, Traffic, Unwatched
from deployers.saved_place import SavedPlace
from specs.failures import TryAgain

COMMAND: Final = "command"
"""The folder of these places in the home of all targets."""


class CommandPlace(SavedPlace):
    """The scripts that a place was last deployed with, and what they last said. No secrets."""

    folder: ClassVar[str] = COMMAND
    scripts: Scripts
    address: str | None = None
    """Where it answers, as last observed."""

    @classmethod
    def remember(cls, home: Path, place: str, scripts: Scripts) -> None:
        """Save the scripts of a place, before anything is done with them, so that the next
        controller can ask what that did."""
        saved = cls.load(home, place)
        if saved is None or saved.scripts != scripts:
            cls(scripts=scripts, address=saved.address if saved else None).save(home, place)


class CommandWindow:
    """The `Window` to places that scripts deploy to. It runs no script."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def glance(self, place: str) -> Glance:
        """Where it answers, as the controller last observed it."""
        saved = CommandPlace.load(self._home, place)
        return Glance(address=saved.address if saved else None)

    async def unwatched(self) -> tuple[Unwatched, ...]:
        """Nothing: what becomes of a canary that nobody watches is the target's affair."""
        return ()

    async def traffic(self, place: str) -> Traffic:
        """Raises TryAgain: only the controller runs scripts."""
        raise TryAgain(f"{place} is deployed by scripts, which only the controller runs")

    def logs(self, _place: str, _server: str) -> tuple[ServerLog, ...]:
        """Nothing: the target keeps the logs of its servers."""
        return ()
