"""How a supervisor limits the memory of its command: resident memory, of all its processes
together. Address space says little, as a garbage collector may reserve gigabytes of it.

If a memory control group can be created, the kernel enforces the limit: with cgroup v2 as a sibling
of the supervisor's own group (a systemd unit with `Delegate=` and `DelegateSubgroup=`), with v1 as
a child of it. Otherwise the processes are checked many times a second, and killed once they exceed
the limit. See cgroups(7), proc_pid_status(5) and the kernel's admin-guide/cgroup-v2.

Used by supervisors: standard library only, and as little of it as possible.
"""

# pathlib would cost a third of their start.
# ruff: noqa: PTH102, PTH106, PTH110, PTH118, PTH120, PTH123, PTH208

import contextlib
import errno
import os
import signal
from collections.abc import Iterable, Iterator

RELAXED, ALERT = 100, 20
"""Milliseconds between checks: normally, and (without a control group) above half of the limit."""
_SHARES = ("Pss_Anon", "Pss_Shmem", "LazyFree")
_PREFIX = "headgate-"
_OWN = "/proc/self/cgroup"
_MOUNTS = "/proc/self/mounts"


class MemoryGroup:
    """A memory control group of one command. At the limit the kernel kills some of its processes;
    the supervisor notices and kills the others, as a partly killed step is worthless."""

    pause = RELAXED
    peak = 0

    def __init__(self, path: str, own: str, version: int, limit: int) -> None:
        self._path = path
        self._own = own
        self._version = version
        self._limit = limit

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Processes started within are in the group from their first instruction. The supervisor
        leaves it afterwards, as the kernel might otherwise kill it."""
        _write(os.path.join(self._path, "cgroup.procs"), str(os.getpid()))
        try:
            yield
        finally:
            _write(os.path.join(self._own, "cgroup.procs"), str(os.getpid()))

    def exceeded(self) -> str:
        """A message if the limit was exceeded, else empty."""
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        if _counter(os.path.join(self._path, name), "oom_kill"):
            return f"its processes needed more than {_mebibytes(self._limit)}"
        return ""

    def remove(self) -> None:
        """Remove the group, once it is empty."""
        with contextlib.suppress(OSError):
            os.rmdir(self._path)


class MemoryWatch:
    """The same without a control group: measures the memory of the supervisor's descendants."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.pause = RELAXED
        """Milliseconds until the next check."""
        self.peak = 0
        """The highest number of bytes measured."""

    def entered(self) -> contextlib.AbstractContextManager[None]:
        """Does nothing."""
        return contextlib.nullcontext()

    def exceeded(self) -> str:
        """See `MemoryGroup`."""
        now = held(descendants(os.getpid()), self._limit)
        self.peak = max(self.peak, now)
        self.pause = ALERT if now > self._limit / 2 else RELAXED
        if now > self._limit:
            return f"its processes held {_mebibytes(now)} of the {_mebibytes(self._limit)} allowed"
        return ""

    def remove(self) -> None:
        """Does nothing."""


def bounds(name: str, limit: int) -> MemoryGroup | MemoryWatch:
    """The best available way to limit a command to that many bytes of memory."""
    return group(name, limit) or MemoryWatch(limit)


def group(name: str, limit: int) -> MemoryGroup | None:
    """A new group with a limit in bytes; None if none can be created."""
    for place, own, version in _places():
        path = os.path.join(place, _PREFIX + name)
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            _bound(path, limit, version)
            made = MemoryGroup(path, own, version, limit)
            with made.entered():
                pass
        except OSError:
            with contextlib.suppress(OSError):
                os.rmdir(path)
            continue
        return made
    return None


def forget(name: str) -> bool:
    """Kill the remaining processes in the group of a supervisor that was killed, and remove it;
    whether it is gone. A killed process stays in it until all its memory is freed."""
    return all(_forgotten(os.path.join(place, _PREFIX + name)) for place, _, _ in _places())


def _forgotten(path: str) -> bool:
    with contextlib.suppress(OSError), open(os.path.join(path, "cgroup.procs"), "rb") as file:
        for pid in file.read().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    try:
        os.rmdir(path)
    except OSError as error:
        return error.errno != errno.EBUSY
    return True


def held(pids: Iterable[int], limit: int) -> int:
    """Bytes that the processes hold and the kernel cannot reclaim: anonymous and shared memory, but
    not files. If the sum may exceed `limit`, it is measured more exactly: shared pages count once,
    and pages that an allocator has released lazily (MADV_FREE) not at all."""
    pids = list(pids)
    most = sum(sum(_fields(f"/proc/{pid}/status", ("RssAnon", "RssShmem"))) for pid in pids)
    if most <= limit:
        return most
    shares = 0
    for pid in pids:
        own, shared, free = _fields(f"/proc/{pid}/smaps_rollup", _SHARES)
        shares += max(0, own - free) + shared
    return min(most, shares or most)


def descendants(of: int) -> Iterator[int]:
    """The process ids of all descendants of a process."""
    waiting = [of]
    while waiting:
        for child in children(waiting.pop()):
            yield child
            waiting.append(child)


def children(of: int) -> list[int]:
    """The process ids of the children of a process, from all its threads."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{of}/task"):
            with open(f"/proc/{of}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it, or a thread, is gone; or a kernel without CONFIG_PROC_CHILDREN
        if os.path.exists(f"/proc/{of}"):
            return [int(one) for one in os.listdir("/proc") if one.isdigit() and parent(one) == of]
    return found


def parent(pid: str) -> int:
    """The parent of a process; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _places() -> Iterator[tuple[str, str, int]]:
    """Where a group may be created, the supervisor's own group, and the cgroup version."""
    mounts = dict(_mounts())
    try:
        with open(_OWN, encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return
    for number, controllers, path in lines:
        if "memory" in controllers.split(",") and "memory" in mounts:
            own = mounts["memory"] + path.rstrip("/")
            yield own, own, 1
        elif number == "0" and "" in mounts and path != "/":
            own = mounts[""] + path.rstrip("/")
            yield os.path.dirname(own), own, 2


def _mounts() -> Iterator[tuple[str, str]]:
    """Where the memory controllers of v1 (named `memory`) and v2 (named ``) are mounted."""
    with contextlib.suppress(OSError), open(_MOUNTS, encoding="utf-8") as file:
        for line in file:
            _, place, kind, options, *_ = line.split()
            if kind == "cgroup2":
                yield "", place
            elif kind == "cgroup" and "memory" in options.split(","):
                yield "memory", place


def _bound(path: str, limit: int, version: int) -> None:
    if version == 1:
        _write(os.path.join(path, "memory.limit_in_bytes"), str(limit))
        with contextlib.suppress(OSError):  # only where swap is accounted
            _write(os.path.join(path, "memory.memsw.limit_in_bytes"), str(limit))
        return
    if not os.path.exists(os.path.join(path, "memory.max")):
        _write(os.path.join(os.path.dirname(path), "cgroup.subtree_control"), "+memory")
    _write(os.path.join(path, "memory.max"), str(limit))
    with contextlib.suppress(OSError):
        _write(os.path.join(path, "memory.swap.max"), "0")
    _write(os.path.join(path, "memory.oom.group"), "1")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _counter(path: str, name: str) -> int:
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _fields(path: str, names: tuple[str, ...]) -> list[int]:
    """Fields of such a file, converted from kB to bytes; 0 for a field or file that is missing."""
    found = dict.fromkeys(names, 0)
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key in found:
                found[key] = int(value.split()[0]) * 1024
    return list(found.values())
