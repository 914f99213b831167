"""Supervisors of commands, and the zygote that forks them. Linux; standard library only.

`main(HOME)`, in a bare interpreter, is the zygote: for each message on its standard input, with a
name, a command and its environment, there is one supervisor with the folder HOME/NAME. A fork
costs about a millisecond where a fresh interpreter costs tens, and it is made in advance: one
supervisor always waits for the next message. End of input ends both; supervisors at work need
neither the zygote nor the controller. `deployers.processes` is the other side.

A supervisor holds a POSIX record lock on `lock` for its whole life, so that the kernel tells
whether it is alive; a process id might have been reassigned. It is the subreaper of its
descendants: processes that outlive the command become its children, and are killed.

Files of a folder, in the order of their appearance:
    exit.new                  space for the last of these files
    lock, control             liveness; a FIFO by which to make it read `stop`
    started                   the supervisor is about to start the command; a symbolic link to the
                              mark of its descendants, as a link is created and read atomically
    log, log.old, log.tail    the output: its head, and while it grows the last two pieces
    stop                      a request to end it: {"grace": seconds}
    exit.json                 how it ended
"""

# Importing pathlib would cost a third of the zygote's start.
# ruff: noqa: PTH105, PTH108, PTH118, PTH119, PTH123, PTH211

import contextlib
import ctypes
import fcntl
import gc
import json
import os
import resource
import select
import signal
import time
from typing import Any

from deployers import memory
from deployers.bounded_log import BoundedLog
from deployers.commands import spawn

MARK = "HEADGATE_PROCESS"
"""Variable that marks every descendant, so that those of a killed supervisor can be found."""
ENDINGS = ".endings"
"""FIFO in the home folder, to which supervisors write the names of processes that ended."""

_PR_SET_CHILD_SUBREAPER = 36
_HEADER = 8  # bytes of a message's length
_libc = ctypes.CDLL(None, use_errno=True)
_RESERVED = 4096
_CHUNK = 65536
_WAKING = (signal.SIGCHLD, signal.SIGTERM)


def save(name: str, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one; readable by its owner only."""
    with open(os.open(f"{name}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
    os.replace(f"{name}.new", name)


def reserve(name: str) -> None:
    """Reserve space for the result, so that a full disk cannot lose it later."""
    try:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(b" " * _RESERVED)
    except FileExistsError:
        return
    except OSError:
        os.unlink(name)
        raise


def load(name: str) -> Any:
    """The JSON value of a file, or None if there is no such file."""
    try:
        with open(name, "rb") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


class Supervision:
    """The life of one command, from its fork until none of its descendants is left."""

    def __init__(
        self,
        spec: dict[str, Any],
        environment: dict[str, str],
        bounds: memory.MemoryGroup | memory.MemoryWatch | None,
    ) -> None:
        self._spec = spec
        self._bounds = bounds
        self._log = BoundedLog(spec["log_bytes"])
        self._began, self._started = time.monotonic(), time.time()
        self._oom_kills = _oom_kills()
        self._reason = self._exceeded = ""
        self._kill_at: float | None = None
        self._killing = False
        self._status: int | None = None
        self._output, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(output, True)
        self._wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
        for number in _WAKING:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll = select.poll()
        for fd in (self._output, self._wake, self._control):
            self._poll.register(fd, select.POLLIN)
        with bounds.entered() if bounds else contextlib.nullcontext():
            self._main, self._failure = spawn(spec, environment, output)
        os.close(output)

    def run(self) -> dict[str, Any]:
        """Enforce the limits until the command ends; returns the content of `exit.json`."""
        if not self._failure:
            self._look_for_stop()
        while self._reap():
            for fd, _ in self._poll.poll(self._patience()):
                if fd == self._output:
                    self._pump()
                elif fd == self._wake:
                    if signal.SIGTERM in os.read(fd, 512):
                        self._end("cancelled", self._spec["grace"])
                else:
                    os.read(fd, 512)
                    self._look_for_stop()
            self._enforce(time.monotonic())
        while self._pump():
            pass
        self._log.close()
        return self._ending()

    def abandon(self) -> None:
        """Kill all processes, after this supervisor itself has failed."""
        self._killing = True
        while self._reap():
            time.sleep(0.01)

    def _patience(self) -> int:
        """Milliseconds until the next check is due."""
        if self._killing:
            return 100
        waits = self._until_due()
        if self._bounds is None or self._failure:
            return waits
        return self._bounds.pause if waits < 0 else min(self._bounds.pause, waits)

    def _until_due(self) -> int:
        due = self._kill_at
        if due is None and not self._reason and self._spec["timeout"] is not None:
            due = self._began + self._spec["timeout"]
        return -1 if due is None else max(0, int((due - time.monotonic()) * 1000) + 1)

    def _enforce(self, now: float) -> None:
        timeout = self._spec["timeout"]
        if timeout is not None and not self._reason and now >= self._began + timeout:
            self._end("timeout", self._spec["grace"])
        if self._kill_at is not None and now >= self._kill_at:
            self._killing = True
        if self._status is None and not self._exceeded:
            self._look_at_memory()

    def _look_at_memory(self) -> None:
        self._exceeded = self._bounds.exceeded() if self._bounds and not self._failure else ""
        if self._exceeded:
            self._killing = True  # at once: during a grace it would go on allocating memory
            self._kill()

    def _look_for_stop(self) -> None:
        wish = load("stop")
        if wish is not None:
            self._end("cancelled", wish["grace"])

    def _end(self, reason: str, grace: float) -> None:
        """Ask the group to end; after `grace` seconds it is killed. The first reason stays."""
        if not self._reason and self._status is None:
            self._reason = reason
            group = self._group()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)
                os.killpg(group, signal.SIGCONT)  # a stopped process would not handle SIGTERM
        due = time.monotonic() + grace
        self._kill_at = due if self._kill_at is None else min(due, self._kill_at)

    def _group(self) -> int:
        """The process group to signal. A confined command is in that of the first process of its
        namespace, which ignores SIGTERM; bwrap, which keeps the namespace, must not end first."""
        if self._spec["within"]:
            for first in memory.children(self._main):
                with contextlib.suppress(ProcessLookupError):
                    if os.getpgid(first) == first:
                        return first
        return self._main

    def _reap(self) -> bool:
        """Reap dead children, and kill what outlives the command; whether any process is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                break
            if pid == self._main:
                self._status = status
                # If it was asked to end, the rest of its group keep their grace; else kill them.
                self._killing = self._killing or not self._reason
        if self._killing:
            self._kill()
        return True

    def _kill(self) -> None:
        if self._status is None:  # not reaped, so the id is still this group's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._main, signal.SIGKILL)
        for pid in memory.children(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _pump(self) -> bool:
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._log.write(data)
        else:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._output)
        return bool(data)

    def _ending(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = 0 if self._status is None else os.waitstatus_to_exitcode(self._status)
        if self._spec["within"] and 128 < code <= 128 + signal.NSIG:
            code = 128 - code  # how bwrap reports a command that was ended by a signal
        exceeded = self._exceeded or (self._bounds.exceeded() if self._bounds else "")
        reason, detail = self._reason, self._failure
        if self._failure:
            reason = "could_not_start"
        elif reason == "timeout":
            detail = f"took longer than {self._spec['timeout']:g} s"
        elif reason == "cancelled":
            detail = "was asked to end"
        elif exceeded:  # even if it exited with 0: a process it waited for was killed
            reason, detail = "out_of_memory", exceeded
        elif code >= 0:
            reason = "exited"
        elif code == -signal.SIGKILL and _oom_kills() > self._oom_kills:
            reason = "out_of_memory"
            detail = "the machine was short of memory, and the kernel killed it"
        else:
            reason = "signalled"
            detail = f"was ended by {_signal_name(-code)}"
        return {
            "reason": reason,
            "code": code if code >= 0 and not self._failure else None,
            "signal": -code if code < 0 else None,
            "detail": "; ".join(filter(None, (detail, self._log.problem)))[:2000],
            "started": self._started,
            "finished": time.time(),
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_bytes": max(used.ru_maxrss * 1024, self._bounds.peak if self._bounds else 0),
        }


def _oom_kills() -> int:
    """How many processes the kernel has killed for lack of memory since boot."""
    try:
        with open("/proc/vmstat", "rb") as file:
            return int(file.read().partition(b"\noom_kill ")[2].split(maxsplit=1)[0])
    except (OSError, IndexError, ValueError):
        return 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _publish(ending: dict[str, Any]) -> None:
    """Write `exit.json` over the space that was reserved for it."""
    while True:
        try:
            with open(os.open("exit.new", os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                file.write(json.dumps(ending).encode())
                file.truncate()
            os.replace("exit.new", "exit.json")
            return
        except FileNotFoundError:
            return  # the folder was removed: nobody needs the result
        except OSError:
            time.sleep(0.5)


def _claim() -> int | None:
    """The locked file, or None if another supervisor has it or the process has ended."""
    lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    over = any(os.path.lexists(name) for name in ("started", "exit.json"))
    return None if over else lock


def _supervise(folder: str, spec: dict[str, Any], environment: dict[str, str]) -> None:
    """Claim the folder, run the command, and publish the result."""
    os.chdir(folder)  # a removed folder stays empty, even if another is made in its place
    lock = _claim()
    if lock is None:
        return
    with contextlib.suppress(FileExistsError):
        os.mkfifo("control", 0o600)
    mark = f"{os.path.basename(folder)}:{os.urandom(8).hex()}"
    os.symlink(mark, "started")
    supervision = None
    limit = spec["memory_bytes"]
    bounds = memory.bounds(mark.replace(":", "."), limit) if limit is not None else None
    try:
        supervision = Supervision(spec, {**environment, MARK: mark}, bounds)
        ending = supervision.run()
    except Exception as error:  # an internal error must not leave the command unsupervised
        if supervision is not None:
            supervision.abandon()
        ending = {
            "reason": "lost", "code": None, "signal": None, "started": time.time(),
            "finished": time.time(), "cpu_seconds": 0.0, "peak_bytes": 0,
            "detail": f"its supervisor failed: {type(error).__name__}: {error}"[:2000],
        }  # fmt: skip
    if bounds is not None:
        bounds.remove()
    _publish(ending)
    os.close(lock)
    _announce(folder)


def _announce(folder: str) -> None:
    """Notify a controller that listens; others read the result from the folder."""
    home, name = os.path.split(folder)
    with contextlib.suppress(OSError):
        fifo = os.open(os.path.join(home, ENDINGS), os.O_WRONLY | os.O_NONBLOCK)
        os.write(fifo, name.encode() + b"\n")


def frame(message: bytes) -> bytes:
    """A message in the format of the zygote's standard input: its length, then itself."""
    return len(message).to_bytes(_HEADER, "big") + message


def _receive() -> bytes | None:
    """Exactly one message; None at the end of input, even within a message."""
    header = _read(_HEADER)
    return None if header is None else _read(int.from_bytes(header, "big"))


def _read(size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            return None
        data += piece
    return data


def _wait_and_supervise(home: str, taken: int) -> None:
    """The whole life of a supervisor; it writes to `taken` once it has its message."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    message = _receive()
    if message is None:
        return  # the controller closed the pipe, or was killed in the middle of a message
    os.write(taken, b"!")
    os.close(taken)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    name, spec, environment = json.loads(message)
    _supervise(os.path.join(home, name), spec, environment)


def main(home: str) -> None:
    """The zygote: keep one supervisor waiting for a message, until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps ended supervisors
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # supervisors make no cycles, and a collection would copy shared pages
    gc.freeze()
    going_on = True
    while going_on:
        reading, taken = os.pipe2(os.O_CLOEXEC)
        if os.fork() == 0:
            os.close(reading)
            try:
                _wait_and_supervise(home, taken)
            finally:
                os._exit(0)
        os.close(taken)
        # A supervisor that ends without writing saw the end of input, or was killed: then the
        # controller finds its zygote gone, starts another, and repeats what is not running.
        going_on = bool(os.read(reading, 1))
        os.close(reading)
