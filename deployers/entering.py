"""Enters the sandbox of another process and takes its user, for good. Linux; see namespaces(7).

A sandbox is entered by descriptors of its namespaces that a process inside has sent, and its user
is the one that the kernel names for that process. So nobody gains anything by asking: whoever asks
could have started the same program in the same place as the same user.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from deployers.warm_client import NAMESPACES

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = (
    1,
    4,
    8,
    24,
    38,
)
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES = 64
_ENTRY = (6, 7, 18, 21)
"""CAP_SETGID, CAP_SETUID, CAP_SYS_CHROOT and CAP_SYS_ADMIN: what it takes to enter."""
_NS_GET_USERNS = 0xB701
_SO_PEERGROUPS = 59
_PEER = struct.Struct("3i")  # struct ucred: process, user, group
_GROUPS = 1024  # bytes, the most that getsockopt takes
_libc = ctypes.CDLL(None, use_errno=True)


class Peer(NamedTuple):
    """Who is at the other end of a socket, as the kernel says."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def peer_of(connection: socket.socket) -> Peer:
    """The user of the process that has connected."""
    about = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, gid = _PEER.unpack(about)
    groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS)
    return Peer(uid, gid, struct.unpack(f"{len(groups) // 4}I", groups))


def keep_only_entry(uid: int, gid: int) -> None:
    """Become an ordinary user who may still enter sandboxes as their users, with none of the rights
    for that in effect until `enter` needs them. Called by root."""
    _drop_bounding_set()
    _must(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    _become(Peer(uid, gid, ()))
    _set_capabilities(permitted=_ENTRY)


def gain_nothing_by_programs() -> None:
    """From now on, no program that is executed has more rights than the one that executes it."""
    _must(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def end_with_parent() -> None:
    """Be killed as soon as the parent ends."""
    _must(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def own_again() -> None:
    """Be, for the kernel, this user's own process again, who may read what is below /proc/self."""
    _must(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))


def enter(namespaces: Sequence[int], user: Peer) -> None:
    """Join the namespaces, in the order of `NAMESPACES`, become that user, and give up all rights.

    The namespace of process ids applies to children only, so that no process inside ever sees one
    that still has rights. Must be called by a process with one thread. Where there is no sandbox,
    and it is the same user, nothing changes.
    """
    others = {
        name: fd
        for name, fd in zip(NAMESPACES, namespaces, strict=True)
        if not os.path.samestat(os.stat(f"/proc/self/ns/{name}"), os.fstat(fd))  # noqa: PTH116
    }
    is_other = (user.uid, user.gid) != (os.getuid(), os.getgid())
    if is_other:
        _set_capabilities(permitted=_ENTRY, effective=_ENTRY)
    _join(others)
    if is_other:
        _become(user)
    if is_other or others:
        _drop_bounding_set()
        _set_capabilities()


def _join(namespaces: dict[str, int]) -> None:
    if "user" in namespaces:
        # bwrap runs its command in one inside of that which owns the other namespaces.
        owner = fcntl.ioctl(namespaces["mnt"], _NS_GET_USERNS)
        _must(_libc.setns(owner, 0))
        if os.path.sameopenfile(owner, namespaces["user"]):
            del namespaces["user"]
    for fd in namespaces.values():
        _must(_libc.setns(fd, 0))


def _become(user: Peer) -> None:
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


def _set_capabilities(permitted: Sequence[int] = (), effective: Sequence[int] = ()) -> None:
    """Have these capabilities and no others. None is ever inherited."""
    low = [sum(1 << number for number in each) for each in (effective, permitted, ())]
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)  # 0 is the calling thread
    _must(_libc.capset(header, (ctypes.c_uint32 * 6)(*low)))


def _drop_bounding_set() -> None:
    """Also a program that grants capabilities grants none any more."""
    for number in range(_CAPABILITIES):
        with contextlib.suppress(OSError):  # there is no such, or all are dropped already
            _must(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))


def _must(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
