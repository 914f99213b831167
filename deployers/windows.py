"""The windows of all targets by name: for processes that look at what serves, and change nothing.

Apart from `registry`, since a window needs none of the libraries that a deployer needs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deployers.chosen_target import DEFAULT, chosen
from deployers.command_place import COMMAND, CommandWindow
from deployers.kserve.place import KSERVE, KServeWindow
from deployers.kubernetes.gateway_place import GATEWAY, GatewayWindow
from deployers.kubernetes.router_link import KUBERNETES
from deployers.kubernetes.window import KubernetesWindow
from deployers.local_window import LocalWindow
from deployers.protocol import Glance, ServerLog, Traffic, Unwatched, Window

SERVING: Final = "serving"
"""The folder of the targets' files in the controller's home."""

WINDOWS: Final[Mapping[str, Callable[[Path], Window]]] = {
    DEFAULT: LocalWindow,
    COMMAND: CommandWindow,
    KSERVE: KServeWindow,
    KUBERNETES: KubernetesWindow,
    GATEWAY: GatewayWindow,
}


def make_window(home: Path) -> Window:
    """The window to all places whose targets' files are in `home`."""
    return _EveryWindow(home)


class _EveryWindow:
    """A `Window` that looks at each place through the window of its target."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._windows = {name: made(home) for name, made in WINDOWS.items()}

    async def glance(self, place: str) -> Glance:
        return await self._of(place).glance(place)

    async def unwatched(self) -> tuple[Unwatched, ...]:
        found = [await window.unwatched() for window in self._windows.values()]
        return tuple(one for each in found for one in each)

    async def traffic(self, place: str) -> Traffic:
        return await self._of(place).traffic(place)

    def logs(self, place: str, server: str) -> tuple[ServerLog, ...]:
        return self._of(place).logs(place, server)

    def _of(self, place: str) -> Window:
        return self._windows[chosen(self._home, place) or DEFAULT]
