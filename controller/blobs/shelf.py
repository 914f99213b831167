"""What lies on the disk for as long as somebody uses it.

The time of the last use is the inode's change time: `use` renews it and leaves the contents and
the other times alone, and nobody can set it back.
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
"""What the name of an entry begins with while it is being deleted."""

UMASK = 0o077 if os.getuid() else 0o022
"""What a controller's files are made without. `home` is its own in any case; root's steps are other
users, who have to read what is laid out for them there."""

# Between "it is there, I use it" and "nobody used it, it goes": one comes first. A controller is
# one process and has its home for itself, so this is enough.
_turn = threading.Lock()


def mode(bits: int) -> int:
    """The mode of a file that steps are given, from what all might have."""
    return bits & ~UMASK


def use(path: Path) -> bool:
    """Whether it is there; if so it stays for now, because its last use is renewed.

    A link itself is meant, not what it leads to.
    """
    with _turn:
        try:
            about = path.lstat()
            times = (about.st_atime_ns, about.st_mtime_ns)
            os.utime(path, ns=times, follow_symlinks=False)
        except FileNotFoundError:
            return False
    return True


def lay(new: Path, path: Path) -> None:
    """Move a file to its place, over what was there. Raises FileNotFoundError without a folder."""
    with _turn:
        new.replace(path)


def discard(path: Path, before: float) -> bool:
    """Delete a file, a link or a folder, unless it was used since `before` (seconds since the
    epoch). Whether it went. To all others it is there whole, or not at all."""
    gone = path.with_name(f"{GONE}{token_hex(8)}")
    with _turn:
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
    """`discard` every entry of a folder whose name is not in `keep`; how many went.

    What a deletion that was cut short has left goes, too.
    """
    with suppress(FileNotFoundError):
        return sum(discard(path, before) for path in folder.iterdir() if path.name not in keep)
    return 0


def remove_tree(folder: Path) -> None:
    """Delete a folder, also one whose folders are read-only."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
