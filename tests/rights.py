"""Stories that need the rights of root, which the tests give up: see `tests.ordinary`.

A process that was begun before they did runs what it is asked for, one at a time, over a socket; it
ends when its standard input closes, with the tests.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

KEEPER = "HEADGATE_TEST_RIGHTS"
"""The variable by which workers find its socket."""
ROOT = Path(__file__).parents[1]
PATIENCE = 100.0
"""Seconds that a story may take."""

_keeper: subprocess.Popen[bytes] | None = None


class Done(NamedTuple):
    """How a story ended."""

    code: int
    out: str
    err: str


def begin() -> None:
    """Make a keeper, once for all workers; called before rights are given up."""
    global _keeper  # noqa: PLW0603 - it lives as long as the process
    if KEEPER in os.environ or os.geteuid() != 0:
        return
    address = os.environ[KEEPER] = f"{tempfile.mkdtemp(prefix='hgr-')}/socket"
    _keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.rights", address],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert _keeper.stdout is not None
    _keeper.stdout.readline()  # it listens


def end() -> None:
    """Let the keeper end, and wait for it."""
    if _keeper is not None:
        with _keeper:
            assert _keeper.stdin is not None
            _keeper.stdin.close()
        Path(os.environ.pop(KEEPER)).parent.rmdir()


def with_rights(story: str, given: object) -> Done:
    """Run the module `story` with all rights and, as JSON on its standard input, what it is given.

    Skips where nobody has these rights.
    """
    if KEEPER not in os.environ:
        pytest.skip("no users of their own: only root can run steps as others")
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(os.environ[KEEPER])
        asking.sendall(json.dumps([story, given]).encode() + b"\n")
        return Done(*json.loads(b"".join(iter(lambda: asking.recv(65536), b""))))


def _run(story: str, given: object) -> Done:
    with subprocess.Popen(
        [sys.executable, "-m", story],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(json.dumps(given), timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
    return Done(process.returncode, out, err)


def main(address: str) -> None:
    """Run stories until nobody is left to ask for one."""
    with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as either:
        listening.bind(address)
        listening.listen(16)
        either.register(listening, selectors.EVENT_READ)
        either.register(0, selectors.EVENT_READ)
        print("ready", flush=True)
        while all(ready.fd != 0 for ready, _ in either.select()):
            asking, _ = listening.accept()
            with asking, contextlib.suppress(OSError), asking.makefile("rw") as line:
                line.write(json.dumps(_run(*json.loads(line.readline()))))
    Path(address).unlink()


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # it ends with its parent, after it
    main(sys.argv[1])
