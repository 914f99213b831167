"""Ownership of an attempt's folders: its user's while it runs, otherwise the controller's."""

import os
import stat
from collections.abc import Collection
from pathlib import Path

WRITABLE = ("code", ".git", "outputs", "scratch")


def hand_over(own: Path, to: tuple[int, int], but: Collection[str] = ()) -> None:
    """Give the attempt's folders to the user and group that it runs as; `but` are theirs."""
    mine = os.getuid()
    if to[0] != mine:
        for name in WRITABLE:
            if name not in but:
                change_owner(own / name, mine, to)


def take_back(own: Path, of: int) -> None:
    """Give the attempt's folders back to the controller, once nothing of it runs any more."""
    mine = os.getuid()
    if of != mine:
        for name in WRITABLE:
            change_owner(own / name, of, (mine, os.getgid()))


def take_back_outputs(own: Path) -> None:
    """Make what a local attempt wrote the controller's own, once nothing of it runs any more. Its
    other folders stay its user's: root, who alone runs attempts as others, may delete them."""
    outputs = own / "outputs"
    of, mine = outputs.lstat().st_uid, os.getuid()
    if of != mine:
        change_owner(outputs, of, (mine, os.getgid()))


def change_owner(path: Path, old: int, new: tuple[int, int]) -> None:
    """Change the owner of all that user `old` owns in a tree. From the top down, as a folder must
    be readable before its content can be listed."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return
    _change(str(path), about, old, new)


def _change(path: str, about: os.stat_result, old: int, new: tuple[int, int]) -> None:
    folder, link = stat.S_ISDIR(about.st_mode), stat.S_ISLNK(about.st_mode)
    # A file with several hard links belongs to a checkout, too, and is left alone.
    ours = folder or about.st_nlink == 1
    if about.st_uid == old and ours:
        os.chown(path, *new, follow_symlinks=False)
    wanted = 0o700 if folder else 0o600
    if new[0] == os.getuid() and ours and not link and about.st_mode & wanted != wanted:
        os.chmod(path, stat.S_IMODE(about.st_mode) | wanted)  # noqa: PTH101 - text, for speed
    if folder:
        with os.scandir(path) as entries:
            found = list(entries)
        for entry in found:
            _change(entry.path, entry.stat(follow_symlinks=False), old, new)
