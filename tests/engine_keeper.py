"""Starts Docker Engines and a Kubernetes for a test run, and ends them with it.

A process of its own, begun while the tests still have all rights of root (see `tests.ordinary`)
and ended when its standard input closes, which no way of dying can prevent. It is asked over a
socket, a line at a time: `up NAME` answers `unix://...` or `no: why`; `down NAME SIGNAL` ends one.
A line `kubernetes ...` is passed on to `tests.servers.kubernetes.cluster`, which answers it.
"""

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

START = 60.0
"""Seconds in which an engine answers, or is given up."""


class Keeper:
    """The engines below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._cluster: subprocess.Popen[bytes] | None = None
        self._cluster_is = ""

    def up(self, name: str) -> str:
        """Start an engine, again if it was ended, and wait until it answers."""
        place = self._folder / name
        place.mkdir(exist_ok=True)
        address = place / "d.sock"
        known = self._running.get(name)
        if known is None or known.poll() is not None:
            # One that was killed leaves these: the next would wait for a containerd that is gone.
            for left in ("d.pid", "exec/containerd/containerd.pid"):
                (place / left).unlink(missing_ok=True)
            with (place / "log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [
                        "dockerd", "--host", f"unix://{address}", "--data-root", place / "data",
                        "--exec-root", place / "exec", "--pidfile", place / "d.pid",
                        # Only one engine of a machine can have docker0; another takes it away.
                        "--bridge", "none",
                    ],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        deadline = time.monotonic() + START
        while self._running[name].poll() is None and time.monotonic() < deadline:
            if answers(address):
                return f"unix://{address}"
            time.sleep(0.05)
        last = (place / "log").read_text(errors="replace").strip().splitlines()[-1:]
        return f"no: dockerd does not start here: {''.join(last)}"

    def down(self, name: str, how: str) -> str:
        """End an engine by a signal, and wait for its end."""
        engine = self._running[name]
        engine.send_signal(signal.Signals[how])
        engine.wait(START)
        return "done"

    def kubernetes(self, line: str) -> str:
        """Pass a line on to the cluster, which the first one starts; what was `up` stays so."""
        if line == "up" and self._cluster_is:
            return self._cluster_is
        if self._cluster is None:
            place = self._folder / "k"
            place.mkdir()
            with (self._folder / "k.log").open("ab") as log:
                # What it mounts goes with it.
                self._cluster = subprocess.Popen(
                    [
                        "unshare", "--mount", "--propagation", "private",
                        sys.executable, "-m", "tests.servers.kubernetes.cluster", place,
                    ],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
        assert self._cluster.stdin is not None
        assert self._cluster.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._cluster.stdin.write(f"{line}\n".encode())
            self._cluster.stdin.flush()
        said = self._cluster.stdout.readline().decode().strip()
        if line == "up":
            said = self._cluster_is = said or f"no: {(self._folder / 'k.log').read_text()[-1500:]}"
        return said

    def close(self) -> None:
        """End all of them."""
        if self._cluster is not None:
            assert self._cluster.stdin is not None
            self._cluster.stdin.close()
            self._cluster.wait(START)
            _end_containerd(self._folder / "k")
        for engine in self._running.values():
            engine.terminate()
        for name, engine in self._running.items():
            try:
                engine.wait(START)
            except subprocess.TimeoutExpired:
                engine.kill()
            _end_containerd(self._folder / name)
        shutil.rmtree(self._folder, ignore_errors=True)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a keeper of the engines below `folder`, an empty one with a short path.

    It ends when this process does, or closes its end of the pipe.
    """
    return subprocess.Popen(
        [sys.executable, "-S", "-m", "tests.engine_keeper", folder],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def ask(folder: Path, line: str) -> str:
    """What the keeper of that folder answers to `up NAME` or `down NAME SIGNAL`."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(f"{folder}/keeper.sock")
        asking.sendall(f"{line}\n".encode())
        return b"".join(iter(lambda: asking.recv(4096), b"")).decode()


def answers(address: Path) -> bool:
    """Whether an engine answers at a socket."""
    with socket.socket(socket.AF_UNIX) as asking, contextlib.suppress(OSError):
        asking.settimeout(5)
        asking.connect(str(address))
        asking.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in asking.recv(64)
    return False


def _end_containerd(place: Path) -> None:
    """Of an engine that was killed, the one beside it is left."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((place / "exec" / "containerd" / "containerd.pid").read_text())
        if str(place) in Path("/proc", str(pid), "cmdline").read_text():
            os.kill(pid, signal.SIGTERM)


def main(folder: Path) -> None:
    """Answer until nobody is left to ask."""
    keeper = Keeper(folder)
    with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as either:
        listening.bind(str(folder / "keeper.sock"))
        listening.listen()
        either.register(listening, selectors.EVENT_READ)
        either.register(0, selectors.EVENT_READ)
        try:
            while all(ready.fd != 0 for ready, _ in either.select()):
                asking, _ = listening.accept()
                with asking, contextlib.suppress(OSError), asking.makefile("rw") as line:
                    verb, name, *rest = line.readline().split()
                    match verb:
                        case "up":
                            line.write(keeper.up(name))
                        case "down":
                            line.write(keeper.down(name, *rest))
                        case "kubernetes":
                            line.write(keeper.kubernetes(" ".join((name, *rest))))
        finally:
            keeper.close()


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # it ends with its parent, after it
    main(Path(sys.argv[1]))
