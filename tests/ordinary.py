"""Root without what only root may do to files, so that tests find what an ordinary user meets.

Root reads, writes and moves whatever the modes of files say, so a suite that runs as root passes
where every other user fails. See capabilities(7); this is for Linux, as Headgate's processes are.
"""

import ctypes
import os

_CAPGET_VERSION_3 = 0x20080522
_PR_SET_NO_NEW_PRIVS = 38
_OVER_MODES = 1 << 1 | 1 << 2 | 1 << 3
"""CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER."""


def become_ordinary() -> None:
    """Give these rights up for good: for this thread, and all threads and processes it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPGET_VERSION_3, 0)  # 0 is the calling thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    _must(libc.capget(header, sets))
    for low in range(3):
        sets[low] &= ~_OVER_MODES
    _must(libc.capset(header, sets))
    # Else a program that root executes would have them again.
    _must(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _must(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
