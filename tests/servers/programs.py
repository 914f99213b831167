"""Servers that are programs of their own: started at a free port, waited for, ended."""

import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.ports import reserved_port

START = 60.0
"""Seconds in which a server answers, or is given up."""


class Program:
    """One server; `command` makes its command line from its port. Its output is in `home`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._held = ExitStack()
        self.port = self._held.enter_context(reserved_port())
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, command: Sequence[str | Path]) -> None:
        """Start it, and wait until it answers."""
        log = self._home / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self._home
            )
        deadline = time.monotonic() + START
        while not self._answers():
            assert self._process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._held.close()

    def _answers(self) -> bool:
        with socket.socket() as asking:
            asking.settimeout(1)
            return asking.connect_ex(("127.0.0.1", self.port)) == 0
