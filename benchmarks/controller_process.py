"""A controller as users start it: `headgate up` in a process of its own, and what it costs.

All figures are the kernel's. Git writes its own list of processes: it is told to by a file in
`GIT_CONFIG_GLOBAL`, which Headgate passes on.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

STATE = Path("home/state.db")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAUSE = 0.1
"""Seconds between two looks. A look costs the driver some CPU, and the controller none."""


class Usage(NamedTuple):
    """What was used since the controller's start; as a difference, since another moment."""

    controller: float
    """CPU seconds of the controller's own process."""
    git: float
    """CPU seconds of the processes that it has waited for, and of those of git that stay."""
    processes: float
    """Processes of git, with those that git starts itself."""
    pushes: float

    def __sub__(self, other: Self) -> "Usage":
        return Usage(*(after - before for after, before in zip(self, other, strict=True)))

    @property
    def cpu(self) -> float:
        """CPU seconds of both."""
        return self.controller + self.git


class ControllerProcess:
    """`headgate up` in a folder with a `headgate.yaml` whose `home` is `home`. With `database`, the
    parameters of libpq, the state is there and not in `home`."""

    def __init__(self, folder: Path, database: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._database = database
        self._trace = folder / "git-trace.json"
        self._settings_of_git = folder / "gitconfig"
        self._settings_of_git.write_text(f"[trace2]\neventTarget = {self._trace}\n")
        self._process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it; it writes its log beside its settings."""
        self._trace.write_bytes(b"")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "controller.cli", "up"],
                cwd=self._folder,
                env={**os.environ, "GIT_CONFIG_GLOBAL": str(self._settings_of_git)},
                stdout=log,
                stderr=log,
            )

    def is_up(self) -> bool:
        """Whether it has begun to reconcile, ever in this folder."""
        return b"the controller runs" in (self._folder / "log").read_bytes()

    def stop(self) -> None:
        """End it as a service manager does."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def usage(self) -> Usage:
        """What it has used until now. Raises `RuntimeError` if it has ended."""
        self._require_running()
        own, waited_for = _times(self._process.pid)
        staying = sum(sum(_times(child)) for child in _children(self._process.pid, "git"))
        commands = list(self._commands())
        pushes = sum("push" in arguments for arguments in commands)
        return Usage(own, waited_for + staying, float(len(commands)), float(pushes))

    def threads(self) -> int:
        """How many it has now."""
        return int(self._status("Threads"))

    def memory(self) -> float:
        """Its resident memory now, in MiB."""
        return int(self._status("VmRSS")) / 1024

    def peak(self) -> float:
        """The most that its resident memory ever was, in MiB."""
        return int(self._status("VmHWM")) / 1024

    def ask(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of its state; none before there is any."""
        if self._database is not None:
            return self._ask_database(query)
        try:
            address = f"file:{self._folder / STATE}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=5)) as state:
                return state.execute(query, parameters).fetchall()
        except sqlite3.OperationalError:
            return []

    def _ask_database(self, query: str) -> list[tuple[Any, ...]]:
        import psycopg

        try:
            with psycopg.connect(**self._database) as state:  # type: ignore[arg-type]  # libpq's own names
                return state.execute(query.encode()).fetchall()
        except psycopg.errors.UndefinedTable:
            return []

    def until(self, is_so: Callable[[], bool], limit: float) -> float | None:
        """Wait until something is so; the seconds it took, or None after `limit` seconds."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            if is_so():
                return time.monotonic() - began
            time.sleep(_PAUSE)
            self._require_running()
        return None

    def _require_running(self) -> None:
        if self._process.poll() is not None:
            said = (self._folder / "log").read_text()[-2000:]
            raise RuntimeError(f"the controller has ended; the end of its log:\n{said}")

    def _status(self, name: str) -> str:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.split()[1]
        raise LookupError(name)

    def _commands(self) -> Iterator[list[str]]:
        """The arguments of each process of git."""
        with self._trace.open() as trace:
            for line in trace:
                if line.startswith('{"event":"start"'):
                    with suppress(ValueError):  # it is being written
                        yield json.loads(line)["argv"]


def _times(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of those that it has waited for; nothing if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    own, waited_for = map(int, fields[11:13]), map(int, fields[13:15])
    return sum(own) / _TICKS, sum(waited_for) / _TICKS


def _children(pid: int, name: str) -> Iterator[int]:
    """The children of that process which run the program `name`."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                if Path(f"/proc/{child}/comm").read_text().strip() == name:
                    yield child
