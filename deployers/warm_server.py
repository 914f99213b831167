"""`python -P -m deployers.warm_server MODULE SOCKET [UID GID]`: a warm process.

It imports MODULE and what that will need, and then forks for each connection. It only imports: it
reads nothing and computes nothing for anybody, so the forks share what every fresh interpreter
would have after its imports, and nothing else. What only some judgements need (MODULE's `LATER`) it
imports once a fork has needed it. SOCKET is the number of the descriptor to accept
connections from. With UID and GID, root becomes that user before it imports anything.

The fork that has the connection enters the sandbox of the process that connected (see
`deployers.entering`) and forks once more, as only a child is in the namespace of process ids. That
child calls MODULE's `main`; the other waits for it, and kills it when the connection closes. Both
go on if the warm process ends, which it does at the end of its standard input or after a while
without connections.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import NoReturn

from deployers.entering import (
    end_with_parent,
    enter,
    gain_nothing_by_programs,
    keep_only_entry,
    own_again,
    peer_of,
)
from deployers.warm_client import NAMESPACES, STARTED

IDLE = 600.0
"""Seconds without a connection after which a warm process ends."""
_LARGEST = 262_144
"""Bytes of a request."""
_TELLS = 3
"""The descriptor by which a fork tells that it needed what is imported later."""


def serve(listening: socket.socket, module: ModuleType) -> None:
    """Fork for each connection, until nobody needs this process any more."""
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    poll.register(0, 0)  # its end: the controller has ended
    told, tells = os.pipe()
    poll.register(told, select.POLLIN)
    while ready := {fd for fd, _ in poll.poll(IDLE * 1000)}:
        if 0 in ready:
            return
        if told in ready:
            poll.unregister(told)  # once is enough
            _import(module.LATER)
        if listening.fileno() not in ready:
            continue
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):  # too many processes: it sees no answer
            if os.fork() == 0:
                listening.close()  # else others could connect when nobody accepts any more
                _in_fork(partial(_attend, connection, module, tells))


def _import(names: Sequence[str]) -> None:
    """Import them, and keep later collections of garbage from the pages that the forks share."""
    for each in names:
        importlib.import_module(each)
    gc.collect()
    gc.freeze()


def _attend(connection: socket.socket, module: ModuleType, tells: int) -> int:
    """Run `main` of the module for the process that connected, and tell it how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    data, descriptors, _, _ = socket.recv_fds(connection, _LARGEST, 2 + len(NAMESPACES))
    enter(descriptors[2:], peer_of(connection))
    asked = json.loads(data)
    child = os.fork()
    if child == 0:
        _in_fork(partial(_run, module, asked, descriptors[:2], tells))
    ended = os.pidfd_open(child)
    connection.send(STARTED)
    _wait(connection, ended)
    _, status, used = os.wait4(child, 0)
    ending = {
        "status": status,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    connection.send(json.dumps(ending).encode())
    return 0


def _wait(connection: socket.socket, ended: int) -> None:
    """Wait until the child with this descriptor ends. Kills it if the connection closes first."""
    poll = select.poll()
    poll.register(connection, 0)
    poll.register(ended, select.POLLIN)
    if all(fd != ended for fd, _ in poll.poll()):
        signal.pidfd_send_signal(ended, signal.SIGKILL)


def _run(module: ModuleType, asked: dict[str, object], output: list[int], tells: int) -> int:
    """Call `main` of the module, with all as a fresh interpreter would have it."""
    end_with_parent()
    own_again()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, fd in enumerate(output, start=1):
        os.dup2(fd, number)
    os.dup2(tells, _TELLS, inheritable=False)
    os.closerange(_TELLS + 1, os.sysconf("SC_OPEN_MAX"))
    os.chdir(str(asked["folder"]))
    environment = asked["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    arguments = asked["arguments"]
    assert isinstance(arguments, list)
    sys.argv[1:] = arguments
    tempfile.tempdir = None  # it is that of TMPDIR now
    gc.enable()
    before = set(sys.modules)
    code = module.main(arguments)
    if not before.issuperset(each for each in module.LATER if each in sys.modules):
        with contextlib.suppress(OSError):  # the warm process has ended
            os.write(_TELLS, b"1")
    return code if isinstance(code, int) else 1


def _in_fork(act: Callable[[], int]) -> NoReturn:
    """Do what a fork is for, and end it, whatever happens."""
    code = 1
    try:
        code = act()
    except Exception:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main(name: str, listening: str, *user: str) -> None:
    """Import, and serve."""
    if user:
        keep_only_entry(*map(int, user))
    gain_nothing_by_programs()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold rows of data
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    gc.disable()  # it would find nothing in imports; and later copy pages that the forks share
    module = importlib.import_module(name)
    _import(module.NEEDED)
    with socket.socket(fileno=int(listening)) as accepting:
        serve(accepting, module)


if __name__ == "__main__":
    main(*sys.argv[1:])
