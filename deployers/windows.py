"""The windows of all targets by name: for processes that look at what serves, and change nothing.

Apart from `registry`, since a window needs none of the libraries that a deployer needs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deployers.local_window import LocalWindow
from deployers.protocol import Window

DEFAULT: Final = "local"
"""The target of all environments: settings cannot choose another one yet."""
SERVING: Final = "serving"
"""The folder of a target's files in the controller's home."""

WINDOWS: Final[Mapping[str, Callable[[Path], Window]]] = {DEFAULT: LocalWindow}


def make_window(home: Path, name: str = DEFAULT) -> Window:
    """The window to a target whose files are in `home`."""
    return WINDOWS[name](home)
