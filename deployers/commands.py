"""How a supervisor starts its command: where it is found, what bounds it.

For supervisors: standard library only, and as little of it as will do.
"""

# ruff: noqa: PTH110, PTH113, PTH118 - pathlib would cost a third of the zygote's start

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from typing import Any

_DEFAULTED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)


def spawn(spec: dict[str, Any], environment: dict[str, str], output: int) -> tuple[int, str]:
    """Start the command in a group of its own; its process id, or why it could not be started.

    posix_spawn and not fork: nothing of this interpreter is copied for a process that is replaced
    at once. What it cannot set for the child alone is set here and inherited.

    It cannot set a parent-death signal, and what sets one in between (an exec more, or a fork)
    costs more than the rest of the supervision. So a supervisor that is killed by -9 leaves its
    command until somebody asks for its status, as a controller does every few seconds; and if
    that is down too, until it is back.
    """
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    step = f"cannot enter the working directory {spec['cwd']!r}"
    try:
        os.chdir(spec["cwd"])
        step = "cannot set the limits"
        with _limits(spec) as memory:
            step = f"cannot run {spec['argv'][0]!r}"
            pid = os.posix_spawn(
                _program(spec["argv"][0], environment),
                spec["argv"],
                environment,
                file_actions=(
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ),
                setpgroup=0,
                setsigmask=(),
                setsigdef=_DEFAULTED,
            )
        if memory is not None:  # no way back up: the child alone is bound by the hard limit
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))
        return pid, ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = ""
        if isinstance(error, FileNotFoundError) and step.startswith("cannot run"):
            command = spec["argv"][0]
            hint = (
                "; the interpreter in its first line is missing"
                if os.path.exists(command)
                else f"; PATH is {environment.get('PATH', 'not set')!r}"
            )
        return 0, f"{step}: {reason}{hint}"[:1500]
    finally:
        os.fchdir(own)
        os.close(own)


def _program(name: str, environment: dict[str, str]) -> str:
    """Where the command's PATH has it, seen from the working directory; else the name itself."""
    if "/" in name:
        return name
    for folder in environment.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return name


@contextlib.contextmanager
def _limits(spec: dict[str, Any]) -> Iterator[int | None]:
    """What is started inside inherits the limits; gives the most memory in bytes, if any."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allowed = os.sched_getaffinity(0)
    if spec["cpus"] is not None and spec["cpus"] < len(allowed):
        # By chance, so that two groups of one processor each seldom meet on the same one.
        some = sorted(allowed, key=lambda _: os.urandom(8))[: spec["cpus"]]
        os.sched_setaffinity(0, some)
    if spec["memory_bytes"] is None:
        yield None
        return
    former = resource.getrlimit(resource.RLIMIT_AS)
    most = spec["memory_bytes"]
    if former[1] != resource.RLIM_INFINITY:  # at most what this user may have
        most = min(most, former[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, former[1]))
    try:
        yield most
    finally:
        resource.setrlimit(resource.RLIMIT_AS, former)
