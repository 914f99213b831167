"""Supervised process groups that outlive the controller: steps, model servers, routers.

Every process has a folder; `deployers.supervisor` describes its files. All knowledge comes from
there and from the kernel, so any number of `Processes` objects over one home agree, and one that
is made after a crash knows as much as its predecessor.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Self

from deployers import memory, supervisor

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_SOURCE = str(Path(supervisor.__file__).parents[1])
# Last on the path, so that nothing beside this package shadows the standard library.
_ZYGOTE = """
import sys
sys.path.append(sys.argv[1])
from deployers import supervisor
supervisor.main(sys.argv[2])
"""
_FLOCK = struct.Struct("hhqqi")  # struct flock: type, whence, start, length, pid


PIECES = ("log.old", "log.tail", "log")
"""Files of a process's output. After its end there is only `log`, unless its supervisor was killed.
`log` is moved last, since it marks the move as incomplete."""


class Reason(StrEnum):
    """Why a process ended."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    COULD_NOT_START = "could_not_start"
    OUT_OF_MEMORY = "out_of_memory"
    LOST = "lost"
    """Its supervisor was killed or the machine went down, so the result is unknown."""


class ProcessState(StrEnum):
    """Where a process is in its life."""

    NEW = "new"
    """Unknown, or requested and not yet running: call `start` (again)."""
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    """Ended with an unknown result; none of its processes is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A command and its limits."""

    argv: tuple[str, ...]
    cwd: str
    within: tuple[str, ...] = ()
    """A command that confines it, to which `argv` is appended."""
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """All variables of the command; none is inherited. Passed through a pipe, never in a file."""
    timeout: float | None = None
    """Seconds until it is ended."""
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL after the timeout."""
    log_bytes: int = 4 * 1024 * 1024
    """How much of stdout and stderr together is kept: half from the head, half from the tail."""
    memory_bytes: int | None = None
    """Limit of the resident memory of all its processes together; beyond it they are killed."""
    cpus: int | None = None
    """Number of processors, chosen at random, that the group is bound to."""


_DESCRIBED = tuple(each.name for each in fields(ProcessSpec) if each.name != "environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended."""

    reason: Reason
    code: int | None
    signal: int | None
    detail: str
    """What happened, in a few words for people; empty for a plain exit."""
    started: float
    finished: float
    """Both in seconds since the epoch."""
    cpu_seconds: float
    """User and system time of the command and its descendants."""
    peak_bytes: int
    """Largest resident size of any one of them; at least the few megabytes of the supervisor."""

    @property
    def succeeded(self) -> bool:
        """Whether the command itself exited with code 0."""
        return self.reason is Reason.EXITED and self.code == 0


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What is known of a process now."""

    state: ProcessState
    exit: Exit | None = None
    """Set once it is ENDED or LOST."""


class Processes:
    """The supervised processes below one folder.

    Methods are quick and do not wait for processes; `start` may be called in any thread. A full
    disk raises `OSError`.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.absolute()
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._zygote: subprocess.Popen[bytes] | None = None
        self._asking = threading.Lock()
        self._endings: _Endings | None = None

    def start(self, name: str, spec: ProcessSpec) -> None:
        """Make sure that the process of that name runs or has run; a second call does nothing.

        Raises `ValueError` for a name that cannot be a file name.
        """
        folder = self._folder(name)
        if self.status(name).state is not ProcessState.NEW:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        supervisor.reserve(f"{folder}/exit.new")
        described = {each: getattr(spec, each) for each in _DESCRIBED}
        self._ask(json.dumps([name, described, spec.environment]).encode())

    def status(self, name: str) -> ProcessStatus:
        """The status of a process. If its supervisor was killed, ends what is left of it."""
        folder = self._folder(name)
        ended = _exit(folder)
        if ended is not None:  # written once, and for good
            return _over(ended)
        # The order matters. A supervisor locks before it writes `started`, and writes the result
        # before it unlocks: started, then unlocked, and still no result means it was killed.
        mark = _mark(folder)
        if _locked(f"{folder}/lock"):
            ended = _exit(folder)
            if ended is None:
                return ProcessStatus(ProcessState.RUNNING)
        else:
            ended = _exit(folder) or (_bury(folder, mark) if mark else None)
            if ended is None:
                return ProcessStatus(ProcessState.RUNNING if mark else ProcessState.NEW)
        return _over(ended)

    def stop(self, name: str, grace: float = 10.0) -> None:
        """Send the group SIGTERM now and SIGKILL after `grace` seconds; does not wait.

        A second call can shorten the grace. A process that does not run yet will never start.
        """
        folder = self._folder(name)
        state = self.status(name).state
        if state in {ProcessState.ENDED, ProcessState.LOST} or not folder.exists():
            return
        supervisor.save(str(folder / "stop"), {"grace": grace})
        if state is ProcessState.NEW and _cancel_unstarted(folder):
            return
        with contextlib.suppress(OSError):  # no reader yet: it checks for `stop` when it starts
            control = os.open(folder / "control", os.O_WRONLY | os.O_NONBLOCK)
            os.write(control, b"!")
            os.close(control)

    def log(self, name: str) -> Path:
        """The file of the output: complete once the process ended, only the head while it runs."""
        return self._folder(name) / "log"

    def tail(self, name: str, size: int = 4096) -> str:
        """The last `size` bytes of the output so far; empty if there is none."""
        folder, data = self._folder(name), b""
        for piece in ("log.tail", "log.old", "log"):
            with contextlib.suppress(FileNotFoundError), (folder / piece).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - (size - len(data))))
                data = file.read(size - len(data)) + data
            if len(data) >= size:
                break
        return data.decode(errors="replace")

    def remove(self, name: str) -> None:
        """Forget a process that ended. Raises `ValueError` if it still runs."""
        folder = self._folder(name)
        if self.status(name).state is ProcessState.RUNNING:
            raise ValueError(f"process {name} still runs; stop it first")
        # Renamed first, so that a partly deleted folder is never taken for a process.
        grave = self._home / f".{name}.removed"
        shutil.rmtree(grave, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)

    def put_away(self, name: str, kept: Path) -> None:
        """Forget a process that ended, and move its output to the folder `kept`, in place of any
        earlier output there. Raises `ValueError` if it still runs."""
        folder = self._folder(name)
        if self.status(name).state is ProcessState.RUNNING:
            raise ValueError(f"process {name} still runs; stop it first")
        if (folder / "log").exists():  # else an earlier call moved it and was interrupted
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(mode=0o700, parents=True)
            for piece in PIECES:
                with contextlib.suppress(FileNotFoundError):
                    (folder / piece).rename(kept / piece)
        self.remove(name)

    def names(self) -> list[str]:
        """The names of all known processes, in order."""
        return sorted(entry.name for entry in self._home.iterdir() if _NAME.fullmatch(entry.name))

    def announce(self, to: Callable[[str], None]) -> None:
        """From now on, call `to` with the name of each process that ends, in the running event
        loop; instead of whom an earlier call named.

        Only a hint, to react quickly: a process that has ended before, or whose supervisor was
        killed, is seen by `status` alone.
        """
        if self._endings is not None:
            self._endings.close()
        self._endings = _Endings(self._home / supervisor.ENDINGS, to)

    def close(self) -> None:
        """Release resources; processes keep running."""
        if self._endings is not None:
            self._endings.close()
            self._endings = None
        self._end_zygote()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a process: use letters, digits, . _ -")
        return self._home / name

    def _ask(self, message: bytes) -> None:
        """Make the zygote fork a supervisor; replaces a zygote that died."""
        with self._asking:
            try:
                self._tell(message)
            except BrokenPipeError:
                self._end_zygote()
                self._tell(message)

    def _tell(self, message: bytes) -> None:
        zygote = self._running_zygote()
        assert zygote.stdin is not None
        zygote.stdin.write(supervisor.frame(message))
        zygote.stdin.flush()

    def _running_zygote(self) -> subprocess.Popen[bytes]:
        if self._zygote is not None and self._zygote.poll() is not None:
            self._end_zygote()
        if self._zygote is None:
            self._zygote = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _ZYGOTE, _SOURCE, str(self._home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                start_new_session=True,  # Ctrl-C in a terminal is for the controller
            )
        return self._zygote

    def _end_zygote(self) -> None:
        if self._zygote is not None:
            assert self._zygote.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._zygote.stdin.close()
            self._zygote.wait()
            self._zygote = None


class _Endings:
    """Passes on the names that supervisors announce when their process has ended."""

    def __init__(self, path: Path, to: Callable[[str], None]) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Opened for writing too, so that it never reads as closed.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._to = to
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        *lines, self._rest = (self._rest + os.read(self._fd, 65536)).split(b"\n")
        for line in lines:
            self._to(line.decode(errors="replace"))


def _over(ended: Exit) -> ProcessStatus:
    state = ProcessState.LOST if ended.reason is Reason.LOST else ProcessState.ENDED
    return ProcessStatus(state, ended)


def _exit(folder: Path) -> Exit | None:
    try:
        known = supervisor.load(f"{folder}/exit.json")
    except json.JSONDecodeError:
        return None  # damaged by someone else: treated as missing
    return None if known is None else Exit(**{**known, "reason": Reason(known["reason"])})


def _locked(path: str) -> bool:
    """Whether a supervisor is alive: asks the kernel who holds the lock, without locking."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        asked = fcntl.fcntl(fd, fcntl.F_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    finally:
        os.close(fd)
    return bool(_FLOCK.unpack(asked)[0] != fcntl.F_UNLCK)


def _cancel_unstarted(folder: Path) -> bool:
    """Record that a process without a supervisor was cancelled; False if it has one."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _mark(folder) is None:
            _record(folder, Reason.CANCELLED, "was asked to end before it began")
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def _mark(folder: Path) -> str | None:
    """The mark of its descendants, once the supervisor is about to start the command."""
    try:
        return os.readlink(f"{folder}/started")  # noqa: PTH115 - the mark is text and not a path
    except FileNotFoundError:
        return None


def _bury(folder: Path, mark: str) -> Exit | None:
    """Kill the processes left by a killed supervisor, and record the process as lost; None while
    some of their memory is still being freed."""
    while remains := list(_marked(mark)):
        for pid in remains:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pid, signal.SIGKILL)
            os.close(pid)
    if not memory.forget(mark.replace(":", ".")):
        return None
    _record(folder, Reason.LOST, "its supervisor was killed or the machine went down")
    return _exit(folder)


def _marked(mark: str) -> Iterator[int]:
    """Descriptors of the living processes that carry the mark in their environment.

    A descendant keeps the mark in any session or group (Jenkins finds stray processes in this
    way). A descriptor, unlike a process id, is never reassigned to another process.
    """
    sought = f"{supervisor.MARK}={mark}".encode()
    for entry in os.listdir("/proc"):  # noqa: PTH208 - hundreds of entries, each needed as text
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            pid = os.pidfd_open(int(entry))
            if _carries(entry, sought):
                yield pid
            else:
                os.close(pid)


def _carries(pid: str, sought: bytes) -> bool:
    """Whether a process has that variable; False if it is gone or belongs to another user."""
    try:
        return sought in Path("/proc", pid, "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _record(folder: Path, reason: Reason, detail: str) -> None:
    begun = folder / "started"
    at = (begun if _mark(folder) else folder).lstat().st_mtime
    ending = Exit(
        reason=reason,
        code=None,
        signal=None,
        detail=detail,
        started=at,
        finished=at,
        cpu_seconds=0.0,
        peak_bytes=0,
    )
    supervisor.save(str(folder / "exit.json"), asdict(ending))
