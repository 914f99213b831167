"""The files of one place on this machine, and its ports."""

import hashlib
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deployers.protocol import Bounds, DeploymentValue

HOST = "127.0.0.1"
PLACES, PROCESSES, ENDED = "places", "processes", "ended"
"""The folders of a local target's home: a folder for each place, the processes of all places, and
the logs of servers that ended."""


class Placed(DeploymentValue):
    """The saved state of one server: everything that a new controller needs, but no secrets."""

    name: str
    port: int
    ready: str
    predict: str
    bounds: Bounds = Bounds()
    crashes: int = 0
    """How often it ended by itself since it was first started."""
    not_before: float = 0.0
    """It is not restarted before this time, in seconds since the epoch."""
    last: str = ""
    """How it ended the last time."""
    leaving: float | None = None
    """Since when it is no longer desired."""
    hung_after: float = 30.0
    startup: float = 60.0
    """Both as in `Server`."""
    hung: str = ""
    """A message, if it was ended because it hung."""


@dataclass(frozen=True, slots=True)
class Site:
    """The folder of a place, and the names of its processes."""

    folder: Path
    key: str
    pipeline: str
    """The first part of the place's name."""

    @classmethod
    def of(cls, home: Path, place: str) -> Self:
        """The site of a place; its name may contain anything, so a digest makes the key unique."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", place)[:40].strip("-")
        digest = hashlib.sha256(place.encode()).hexdigest()[:12]
        key = f"{words}-{digest}" if words else digest
        return cls(home / key, key, place.partition("/")[0])

    @property
    def router(self) -> str:
        """The name of the router's process."""
        return f"{self.key}.router"

    def server(self, name: str) -> str:
        """The name of a server's process."""
        return f"{self.key}.server.{name}"

    def owns(self, process: str) -> bool:
        """Whether a process belongs to this place."""
        return process.startswith(f"{self.key}.")

    def placed(self) -> dict[str, Placed]:
        """All servers that are saved here, by name."""
        known = (
            Placed.model_validate_json(file.read_bytes())
            for file in sorted(self.folder.glob("*.server.json"))
        )
        return {placed.name: placed for placed in known}

    def save(self, placed: Placed) -> None:
        """Save a server."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.folder / f"{placed.name}.server.new"
        new.write_text(placed.model_dump_json())
        new.replace(self._file(placed.name))

    def forget(self, name: str) -> None:
        """Delete a server's file."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.server.json"


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether the port of 127.0.0.1 is free now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
