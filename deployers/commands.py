"""How a supervisor starts its command: finding the program and setting its limits.

Used by supervisors: standard library only, and as little of it as possible.
"""

# ruff: noqa: PTH110, PTH113, PTH118 - pathlib would cost a third of the zygote's start

import contextlib
import errno
import os
import resource
import signal
from typing import Any

_UNSAFE = (
    "GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH",
    "MALLOC_TRACE", "NIS_PATH", "NLSPATH", "RESOLV_HOST_CONF", "RES_OPTIONS",
)  # fmt: skip
"""With LD_*, the variables that glibc removes from programs that gain privileges when started."""
_DEFAULTED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)


def spawn(spec: dict[str, Any], environment: dict[str, str], output: int) -> tuple[int, str]:
    """Start the command in a process group of its own; its process id, or why it did not start.

    posix_spawn rather than fork, as it does not copy this interpreter for a process that is
    replaced at once. Limits that it cannot set for the child alone are set here and inherited.

    It cannot set a parent-death signal, and setting one in between (another exec, or a fork) costs
    more than the rest of the supervision. So if a supervisor is killed by SIGKILL, its command
    runs on until somebody asks for its status, as a controller does every few seconds; if the
    controller is down too, until it is back.
    """
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    step = f"cannot enter the working directory {spec['cwd']!r}"
    try:
        os.chdir(spec["cwd"])
        step = "cannot set the limits"
        _bound(spec)
        step = f"cannot run {spec['argv'][0]!r}"
        program = _program(spec["argv"][0], environment)
        argv = spec["argv"]
        if spec["within"]:
            _check(program)  # here, as the error from inside would be less clear
            environment, later = _parted(environment)
            argv = [*spec["within"], *later, program, *argv[1:]]
            program = argv[0]
        pid = os.posix_spawn(
            program,
            argv,
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
    """The program's path by the command's own PATH; the bare name if it is not found."""
    if "/" in name:
        return name
    for folder in environment.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return name


def _check(program: str) -> None:
    """Raise the OSError that running the program would raise: it, or the interpreter that its first
    line names, is missing or not executable."""
    if not os.access(program, os.X_OK) or not os.path.isfile(program):
        number = errno.EACCES if os.path.exists(program) else errno.ENOENT
        raise OSError(number, os.strerror(number))
    with contextlib.suppress(PermissionError), open(program, "rb") as file:  # noqa: PTH123 - above
        mark, _, words = file.read(256).partition(b"\n")[0].partition(b"#!")
        if not mark and words and not os.path.exists(words.split()[0]):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _parted(environment: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The variables that are safe for the confining program, and the words of a command that sets
    the others inside: those would load the command's libraries into a privileged program."""
    unsafe = {name for name in environment if name.startswith("LD_") or name in _UNSAFE}
    words = [f"{name}={environment[name]}" for name in sorted(unsafe)]
    seen = {name: value for name, value in environment.items() if name not in unsafe}
    return seen, [_program("env", {}), *words] if words else []


def _bound(spec: dict[str, Any]) -> None:
    """Limits that are inherited by whatever is started next: no core files, fewer processors."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allowed = os.sched_getaffinity(0)
    if spec["cpus"] is not None and spec["cpus"] < len(allowed):
        # At random, so that two groups with one processor each rarely share the same one.
        some = sorted(allowed, key=lambda _: os.urandom(8))[: spec["cpus"]]
        os.sched_setaffinity(0, some)
