"""`python -I -S warm_client.py SOCKET COMMAND...`: have a warm process do what the command does.

COMMAND is PYTHON -P -m MODULE ARGUMENTS. This process stands for it where it was to run: the warm
process forks, and the fork enters the sandbox of this process and calls MODULE's `main`. Once that
has ended, this process ends in the same way. If it ends before, so does the fork. Without an answer
the command is executed instead.

It is run by its path, inside of a sandbox: standard library only, and as little of it as possible.
"""

# ruff: noqa: PTH118, PTH123 - pathlib would cost a third of its start

import array
import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any

NAMESPACES = ("mnt", "pid", "ipc", "net", "uts", "user")
"""Those that make up a sandbox, as in /proc/self/ns; the last to be joined is that of users, as
its capabilities do not reach the others."""
STARTED = b"started"
USAGE = "usage.json"
"""The file in TMPDIR with what the fork used, as it is none of this process's descendants."""
_ARGUMENTS = 4
"""The place of the first argument in the command."""
_LARGEST = 65_536


def ask(address: str, command: list[str]) -> dict[str, Any] | None:
    """How the fork ended; None if there was none. Raises EOFError if it was lost."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as warm:
        try:
            warm.connect(_short(address))
            descriptors = [1, 2, *(os.open(f"/proc/self/ns/{n}", os.O_RDONLY) for n in NAMESPACES)]
            about = {
                "arguments": command[_ARGUMENTS:],
                "environment": dict(os.environ),
                "folder": os.getcwd(),  # noqa: PTH109
            }
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            warm.sendmsg([json.dumps(about).encode()], [rights])
            if warm.recv(len(STARTED)) != STARTED:
                return None
        except OSError:
            return None
        try:
            ending: dict[str, Any] = json.loads(warm.recv(_LARGEST))
        except (OSError, ValueError):
            raise EOFError from None
        return ending


def _short(address: str) -> str:
    """The same address in fewer than the 108 bytes that are possible."""
    folder, name = os.path.split(address)
    return f"/proc/self/fd/{os.open(folder, os.O_PATH)}/{name}"


def main(address: str, command: list[str]) -> None:
    """End as the fork ends."""
    try:
        ending = ask(address, command)
    except EOFError:
        ending = {"status": signal.SIGKILL}  # it, or the process that waits for it, was killed
    if ending is None:
        os.execv(command[0], command)  # noqa: S606 - there is no shell to start
    with contextlib.suppress(OSError):
        file = os.path.join(os.environ.get("TMPDIR", ""), USAGE)
        with open(file, "w") as usage:
            json.dump(ending, usage)
    code = os.waitstatus_to_exitcode(ending["status"])
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
