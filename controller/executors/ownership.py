"""Ownership of an attempt's folders: its user's while it runs, otherwise the controller's."""

import os
from pathlib import Path

WRITABLE = ("code", ".git", "outputs", "scratch")


def hand_over(own: Path, to: tuple[int, int]) -> None:
    """Give the attempt's folders to the user and group that it runs as."""
    mine = os.getuid()
    if to[0] != mine:
        for name in WRITABLE:
            change_owner(own / name, mine, to)


def take_back(own: Path, of: int) -> None:
    """Give the attempt's folders back to the controller, once nothing of it runs any more."""
    mine = os.getuid()
    if of != mine:
        for name in WRITABLE:
            change_owner(own / name, of, (mine, os.getgid()))


def change_owner(path: Path, old: int, new: tuple[int, int]) -> None:
    """Change the owner of all that user `old` owns in a tree. From the top down, as a folder must
    be readable before its content can be listed."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return
    folder = path.is_dir() and not path.is_symlink()
    # A file with several hard links belongs to a checkout, too, and is left alone.
    if about.st_uid == old and (folder or about.st_nlink == 1):
        os.chown(path, *new, follow_symlinks=False)
    if folder:
        if new[0] == os.getuid():
            path.chmod(about.st_mode & 0o7777 | 0o700)
        for entry in list(os.scandir(path)):
            change_owner(Path(entry.path), old, new)
    elif new[0] == os.getuid() and about.st_nlink == 1 and not path.is_symlink():
        path.chmod(about.st_mode & 0o777 | 0o600)
