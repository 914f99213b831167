"""Whose the folders of an attempt are: while it runs, its user's; before and after, ours."""

import os
from pathlib import Path

WRITABLE = ("code", ".git", "outputs", "scratch")


def hand_over(own: Path, to: tuple[int, int]) -> None:
    """Give its folders to the user and group that it runs as, where that is another."""
    mine = os.getuid()
    if to[0] != mine:
        for name in WRITABLE:
            give(own / name, mine, to)


def take_back(own: Path, of: int) -> None:
    """Make the folders the controller's own again, once nothing of that user runs there."""
    mine = os.getuid()
    if of != mine:
        for name in WRITABLE:
            give(own / name, of, (mine, os.getgid()))


def give(path: Path, old: int, new: tuple[int, int]) -> None:
    """Change whose a tree is where it is `old`'s, from the top: a folder of another cannot always
    be looked into."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return
    folder = path.is_dir() and not path.is_symlink()
    # A file with other names is a checkout's, too, and stays as it is.
    if about.st_uid == old and (folder or about.st_nlink == 1):
        os.chown(path, *new, follow_symlinks=False)
    if folder:
        if new[0] == os.getuid():
            path.chmod(about.st_mode & 0o7777 | 0o700)
        for entry in list(os.scandir(path)):
            give(Path(entry.path), old, new)
    elif new[0] == os.getuid() and about.st_nlink == 1 and not path.is_symlink():
        path.chmod(about.st_mode & 0o777 | 0o600)
