"""Confines the processes of pipelines to their own files, with bubblewrap.

A confined process sees the machine read-only. Folders that are private or the controller's own
(`Confinement.hides`) are empty there, apart from the paths that the process is given. It has its
own process ids, so it cannot signal others; the network is the machine's.

If the controller is root with full privileges, each pipeline's processes run as users of their
own, with a different user for runs that may release than for pull requests. Otherwise they run as
the controller's user in a user namespace without any capability. See bwrap(1), setpriv(1), and
systemd's UIDS-GIDS for user ids that are not assigned to anybody.
"""

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from specs.failures import NeedsHuman

Kind = Literal["users", "namespace", "none"]

FREE = range(65_536, 100_000)
"""User ids that neither distributions, systemd nor subuid(5) assign."""
SHARED = tuple(map(Path, ("/tmp", "/var/tmp", "/run", "/root")))  # noqa: S108 - hidden, not used
"""Shared folders, which hold sockets and other users' files, and root's home."""
DEVICES = re.compile("nvidia.*|dri|kfd")
"""GPU devices below /dev."""
FIX = "install bubblewrap 0.5 or later (apt install bubblewrap), and allow user namespaces"
NEEDED = tuple(
    Path(each).resolve()
    for each in ("/bin", "/sbin", "/lib", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local", "/etc",
                 "/proc", "/sys", "/dev")
)  # fmt: skip
"""Folders that every program needs; they are never hidden as a whole."""
_RIGHTS = (0, 1, 6, 7, 21)
"""CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_SETGID, CAP_SETUID and CAP_SYS_ADMIN."""
_MAPS = ("/proc/self/uid_map", "/proc/self/gid_map")
_OPEN = "1777"
_PATIENCE = 20.0
"""Seconds that the trial run may take."""


class User(NamedTuple):
    """The user that a confined process runs as."""

    uid: int
    gid: int
    name: str = ""
    """The account's name; empty for an unassigned user id."""


class View(NamedTuple):
    """The paths that a process is given: absolute, and the same inside as outside."""

    folder: Path
    """Its working directory."""
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()


@dataclass(frozen=True)
class Confinement:
    """How processes are confined on this machine, if at all.

    `private` are folders and files that only the controller may read; `account` is the user that
    all processes run as, if one is configured.
    """

    private: tuple[Path, ...] = ()
    account: User | None = None
    kind: Kind = "none"
    why: str = ""
    """Why they are not confined, or do not run as other users."""
    _folders: frozenset[str] = field(init=False, repr=False)
    """Folders that are empty inside, apart from the paths given."""
    _files: frozenset[str] = field(init=False, repr=False)
    """Files that cannot be read inside."""

    def __post_init__(self) -> None:
        there = {path.resolve() for path in (*SHARED, *self.private) if path.exists()}
        folders = (path for path in there if path.is_dir() and not _is_needed(path))
        files = (path for path in there if not path.is_dir())
        # As text, for speed: every step waits for the mounts of its process.
        object.__setattr__(self, "_folders", frozenset(map(str, folders)))
        object.__setattr__(self, "_files", frozenset(map(str, files)))

    @property
    def works(self) -> bool:
        """Whether processes are confined at all."""
        return self.kind != "none"

    @property
    def lacking(self) -> str:
        """The consequence of running unconfined, and the reason for it."""
        return (
            "local steps and model servers are not confined, so they can read what the controller "
            f"can, including its secrets and state ({self.why})"
        )

    def user(self, *name: str) -> User | None:
        """The user for processes of that name; None for the controller's own user."""
        if self.kind != "users":
            return None
        if self.account is not None:
            return self.account
        return self._unassigned(*name)

    def warm_user(self, module: str) -> User | None:
        """The user for a module's warm process, which shares it with no other; None for the
        controller's own user."""
        return self._unassigned("warm", module) if self.kind == "users" else None

    def _unassigned(self, *name: str) -> User:
        said = "\0".join((*map(str, self.private[:1]), *name))
        start = int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "big")
        ids = (FREE[(start + step) % len(FREE)] for step in range(len(FREE)))
        uid = next(each for each in ids if _is_unassigned(each))
        return User(uid, uid)

    def within(self, view: View, user: User | None = None) -> tuple[str, ...]:
        """The words to put before a command so that it runs confined; empty without confinement."""
        if not self.works:
            return ()
        return (
            *(_path("bwrap"), "--die-with-parent", "--new-session"),
            *("--unshare-pid", "--unshare-ipc"),
            *(("--unshare-user",) if self.kind == "namespace" else ()),
            *("--cap-drop", "ALL"),
            *(_rights("SETUID", "SETGID", "SETPCAP") if user else ()),
            *self._visible(view),
            *(word for device in _devices() for word in ("--dev-bind", device, device)),
            *("--chdir", str(view.folder), "--"),
            *(_become(user) if user else ()),
        )

    def around_entrance(self, view: View) -> tuple[str, ...]:
        """The words to put before the command of a warm process, which begins as root, becomes its
        `warm_user`, and enters the sandboxes of others; see `deployers.entering`.

        It must be in the namespace of process ids that theirs are in. Of the controller's own user
        it must also be in the namespace of users that theirs are in, so nothing confines it there:
        it has no capabilities, and is given nothing.
        """
        if self.kind != "users":
            return ()
        return (
            *(_path("bwrap"), "--unshare-ipc", "--unshare-net", "--cap-drop", "ALL"),
            *_rights("SETUID", "SETGID", "SETPCAP", "SYS_ADMIN", "SYS_CHROOT"),
            *self._visible(view),
            *("--chdir", str(view.folder), "--"),
        )

    def hides(self, path: Path) -> bool:
        """Whether a path does not exist or is empty inside, unless it is given."""
        return self._hides(str(path))

    def _hides(self, path: str) -> bool:
        own = path in self._folders or path in self._files
        return own or bool(self._hidden_above(path))

    def _hidden_above(self, path: str) -> list[str]:
        """The folders that a path is in which are hidden, or in a hidden one; outermost first."""
        found: list[str] = []
        end = path.find("/", 1)
        while end > 0:
            folder = path[:end]
            if found or folder in self._folders:
                found.append(folder)
            end = path.find("/", end + 1)
        return found

    def _visible(self, view: View) -> tuple[str, ...]:
        """The words for all that can be seen inside."""
        return (
            *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
            *("--perms", _OPEN, "--tmpfs", "/dev/shm"),  # noqa: S108 - its own
            *self._mounts(view),
        )

    def _mounts(self, view: View) -> Iterator[str]:
        """Mounts for hidden and given paths, outermost first: the innermost takes effect."""
        given = self._given(view)
        mounts: dict[str, tuple[str, ...]] = {
            each: ("--dir", each)
            for place in (*given, f"{view.folder}/here")
            for each in self._hidden_above(place)
        }
        mounts |= {each: ("--ro-bind", os.devnull, each) for each in self._files}
        for each in self._folders:
            mode = _OPEN if each.rpartition("/")[2] == "tmp" else "0755"
            mounts[each] = ("--perms", mode, "--tmpfs", each)
        mounts |= given
        last: dict[str, bool] = {}  # by place: whether the innermost mount so far hides it
        for place in sorted(mounts, key=lambda path: path.split("/")):
            above = next((last[each] for each in _parents(place) if each in last), False)
            if place in given:
                last[place] = False
            elif place in self._folders or place in self._files:
                if above:
                    continue  # already hidden
                last[place] = True
            elif not above:
                continue  # a parent folder that exists already
            yield from mounts[place]

    def _given(self, view: View) -> dict[str, tuple[str, ...]]:
        """The mounts of the paths that the process is given, by place."""
        found: dict[str, tuple[str, ...]] = {}
        known: dict[str, _Place] = {}
        resolver = _resolved("/etc/resolv.conf", known).real  # systemd's is below /run
        reads = ((str(path), "--ro-bind") for path in (*view.reads, resolver))
        writes = ((str(path), "--bind") for path in view.writes)
        for path, how in (*reads, *writes):
            real, exists = _resolved(path, known)
            for place in {path, real}:  # a path through a link is available by both names
                if place in self._folders or place in self._files:
                    continue
                wanted = (how == "--bind" and place == real) or bool(self._hidden_above(place))
                if wanted and exists:
                    found[place] = (how, real, place)
        return found


def confinement(private: Iterable[Path], account: str | None = None) -> Confinement:
    """How this controller confines its processes. The first of `private` is its home.

    Raises `NeedsHuman` for an account that does not exist, is root or the controller's own, or
    that the controller is not permitted to become.
    """
    kind, why = _probed()
    private = (*private, *_homes())
    if account is None:
        return Confinement(private, None, kind, why)
    try:
        known = pwd.getpwnam(account)
    except KeyError:
        raise NeedsHuman(f"`run_as`: there is no account {account}; create it") from None
    if known.pw_uid in (0, os.getuid()):
        raise NeedsHuman(
            f"`run_as`: {account} is root or the controller's own account; name another one"
        )
    if kind != "users":
        raise NeedsHuman(
            f"`run_as`: to run steps as {account}, run the controller as root with bwrap: {why}"
        )
    return Confinement(private, User(known.pw_uid, known.pw_gid, account), kind, why)


def interpreter(environment: Path) -> tuple[Path, ...]:
    """The paths that the Python of a virtual environment needs to run: the environment, and the
    Python installation that it was made from, if the folder of that looks like one."""
    if not environment.is_symlink():
        return (environment, *_below(environment))
    # The first lines of its programs name the link's target, which never changes once it is there.
    target = environment.parent / environment.readlink()
    return (environment, target, *_below_once(target))


def _below(environment: Path) -> tuple[Path, ...]:
    """What an environment needs besides itself."""
    found = [environment]
    hops = [environment / "bin" / "python"]
    while hops[-1].is_symlink():
        hops.append(Path(os.path.normpath(hops[-1].parent / hops[-1].readlink())))
    prefix = hops[-1].parent.parent
    if list(prefix.glob("lib*/python3*")):
        found.append(prefix)
    lone = (hop for hop in hops if not any(hop.is_relative_to(each) for each in found))
    return (*found[1:], *lone)


_below_once = lru_cache(maxsize=256)(_below)


@cache
def _probed() -> tuple[Kind, str]:
    """The strongest kind that works on this machine, tried once, and why no stronger one does."""
    if shutil.which("bwrap") is None:
        return "none", "bwrap is not on PATH"
    why = ""
    if _may_become_others():
        why = _trial(Confinement(kind="users"), User(FREE[0], FREE[0]))
        if not why:
            return "users", ""
    else:
        why = "the controller is not root with all its rights"
    failed = _trial(Confinement(kind="namespace"), None)
    return ("none", failed) if failed else ("namespace", why)


def _trial(tried: Confinement, user: User | None) -> str:
    """Why a process cannot be confined in this way; empty if it can."""
    command = (*tried.within(View(Path("/")), user), "/bin/true")
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap does not run: {error}"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"bwrap ended with {done.returncode}"])[-1][:300]


def _may_become_others() -> bool:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    rights = int(status["CapEff"], 16)
    return all(rights >> number & 1 for number in _RIGHTS) and all(map(_are_there, _MAPS))


def _are_there(file: str) -> bool:
    """Whether the `FREE` ids exist in this user namespace; see user_namespaces(7)."""
    for line in Path(file).read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= FREE.start and FREE.stop <= first + count:
            return True
    return False


def _rights(*names: str) -> tuple[str, ...]:
    """The words for the capabilities that are kept until they are dropped for good."""
    return tuple(word for name in names for word in ("--cap-add", f"CAP_{name}"))


def _become(user: User) -> tuple[str, ...]:
    groups = "--init-groups" if user.name else "--clear-groups"
    return (
        # An absolute path: PATH is the command's own, and this still runs with privileges.
        *(_path("setpriv"), "--reuid", str(user.uid), "--regid", str(user.gid), groups),
        *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--"),
    )


@cache
def _is_unassigned(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return True
    return False


def _devices() -> Sequence[str]:
    """As they are by now: a driver may make its devices when it is first used."""
    return _devices_at(os.stat("/dev").st_mtime_ns)  # noqa: PTH116 - text, for speed


@lru_cache(maxsize=1)
def _devices_at(_changed: int) -> tuple[str, ...]:
    """The devices since the folder has changed last."""
    there = os.listdir("/dev")  # noqa: PTH208 - names are all that is needed
    return tuple(sorted(f"/dev/{name}" for name in filter(DEVICES.fullmatch, there)))


def _parents(path: str) -> Iterator[str]:
    """The folders that a path is in, innermost first."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)
    if path != "/":
        yield "/"


class _Place(NamedTuple):
    """Where a path leads to."""

    real: str
    """Without symbolic links."""
    exists: bool


def _resolved(path: str, known: dict[str, _Place]) -> _Place:
    """Where an absolute path leads to; `known` has the folders that others led through, so that
    each is looked at once."""
    found = known.get(path)
    if found is None:
        folder, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            found = _looked_at(os.path.realpath(path))
        else:
            above = _resolved(folder, known).real if folder else ""
            found = _looked_at(f"{above.rstrip('/')}/{name}")
        known[path] = found
    return found


def _looked_at(path: str) -> _Place:
    """Where a path leads to whose folder has no symbolic links in it."""
    try:
        is_link = stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return _Place(path, exists=False)
    if not is_link:
        return _Place(path, exists=True)
    real = os.path.realpath(path)
    return _Place(real, os.path.exists(real))  # noqa: PTH110 - text, for speed


@cache
def _path(program: str) -> str:
    return shutil.which(program) or program


def _homes() -> Iterator[Path]:
    """The home folders of the controller's user."""
    if "HOME" in os.environ:
        yield Path(os.environ["HOME"])
    with suppress(KeyError):
        yield Path(pwd.getpwuid(os.getuid()).pw_dir)


def _is_needed(folder: Path) -> bool:
    """Whether a folder is one of `NEEDED` or contains one."""
    return any(folder in (each, *each.parents) for each in NEEDED)


UNCONFINED = Confinement()
"""Processes run as the controller's user and see what that user sees."""
