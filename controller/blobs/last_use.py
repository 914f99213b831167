"""Files and folders that are kept on disk for as long as they are used.

The time of the last use is the inode's change time: `use` renews that and changes neither the
content nor the other times, and nobody can set it back.
"""

import os
import shutil
import stat
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

GONE = ".gone-"
"""The prefix of the name of an entry that is being deleted."""

UMASK = 0o077 if os.getuid() else 0o022
"""The umask of the controller's files. The home folder is private in any case; a controller that is
root runs steps as other users, who must be able to read what is prepared for them."""

# Makes `use` and `discard` mutually exclusive. That one process holds the lock is enough, as a home
# folder belongs to one controller.
_lock = threading.Lock()


def mode(bits: int) -> int:
    """The permissions of a file that is given to steps, without those in `UMASK`."""
    return bits & ~UMASK


def use(path: Path) -> bool:
    """Whether the entry is there; if so, marks it as used now, which keeps it for a while.

    Symbolic links are not followed.
    """
    with _lock:
        try:
            about = path.lstat()
            times = (about.st_atime_ns, about.st_mtime_ns)
            os.utime(path, ns=times, follow_symlinks=False)
        except FileNotFoundError:
            return False
    return True


def move_into_place(new: Path, path: Path) -> None:
    """Move a file to its place, replacing what is there. Raises `FileNotFoundError` if the folder
    does not exist."""
    with _lock:
        new.replace(path)


def discard(path: Path, before: float) -> bool:
    """Delete a file, link or folder, atomically, unless it was used since `before` (seconds since
    the epoch); whether it was deleted."""
    gone = path.with_name(f"{GONE}{token_hex(8)}")
    with _lock:
        try:
            about = path.lstat()
            if about.st_ctime >= before:
                return False
            if not stat.S_ISDIR(about.st_mode):
                path.unlink()
                return True
            path.rename(gone)
        except FileNotFoundError:
            return False
    remove_tree(gone)
    return True


def discard_all(folder: Path, before: float, keep: Collection[str] = ()) -> int:
    """`discard` every entry of a folder whose name is not in `keep`; how many were deleted.

    This includes the remains of interrupted deletions.
    """
    with suppress(FileNotFoundError):
        return sum(discard(path, before) for path in folder.iterdir() if path.name not in keep)
    return 0


def remove_tree(folder: Path) -> None:
    """Delete a folder, even if folders in it are read-only."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
