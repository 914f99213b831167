"""A program for warm processes: it tells what it finds, changes it, waits, or ends as it is told.

`python -P -m tests.deployers.warm_program WORD [ARGUMENT]`.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

NEEDED = ("colorsys",)
LATER = ("tabnanny",)
"""See `deployers.warm_server`; nothing else here imports either."""
LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_STACK)
left_behind: list[str] = []


def _found() -> dict[str, object]:
    """What could tell one process from another, apart from its number and its parent."""
    status = Path("/proc/self/status").read_text().splitlines()
    known = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp", "SigIgn", "SigBlk")
    umask = os.umask(0o77)
    os.umask(umask)
    return {
        "status": [line for line in status if line.startswith(known)],
        "is_own": Path("/proc/self/environ").stat().st_uid == os.getuid(),
        "visible": sorted(one.name for one in Path("/").iterdir()),
        "processes": all(int(one.name) < 20 for one in Path("/proc").glob("[0-9]*")),
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "umask": umask,
        "handlers": [str(signal.getsignal(one)) for one in (signal.SIGTERM, signal.SIGINT)],
        "limits": [resource.getrlimit(one) for one in LIMITS],
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:3],  # noqa: PTH208
        "temporary": tempfile.gettempdir(),
        "left_behind": left_behind,
        "arguments": sys.argv[1:],
        "timeout": socket.getdefaulttimeout(),
    }


def _change() -> None:
    """Change all of it that a process may change."""
    left_behind.append("a value")
    os.environ["LEFT"] = "behind"
    os.umask(0)
    os.chdir("/")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (17, 17))
    socket.setdefaulttimeout(1.0)
    tempfile.tempdir = "/elsewhere"
    os.open("/", os.O_RDONLY)
    with contextlib.suppress(OSError):
        os.nice(5)


def main(arguments: list[str]) -> int:
    """Do as the first word says."""
    match arguments:
        case ["find"]:
            print(json.dumps(_found()))
        case ["change"]:
            _change()
            print("changed")
        case ["imported"]:
            print([name in sys.modules for name in (*NEEDED, *LATER)])
        case ["need"]:
            importlib.import_module(*LATER)
        case ["exit", code]:
            return int(code)
        case ["raise"]:
            raise ValueError("on purpose")
        case ["signal", number]:
            os.kill(os.getpid(), int(number))
        case ["kill-all"]:
            os.kill(-1, signal.SIGKILL)
        case ["hold", size]:
            bytearray(int(size))
        case ["wait", file]:
            Path(file).write_text(str(os.getpid()))
            while Path(file).exists():
                time.sleep(0.01)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
