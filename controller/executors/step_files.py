"""The files that a step finds: written before it starts, deleted after its end.

To make files and folders is what costs most of a small step, whatever is in them. So what an ended
attempt of the same commit left is moved to the next one, where it is just as it would be made.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from controller.executors.leftovers import Leftover, Marks
from controller.executors.working_copy import (
    GIVEN,
    copy_files,
    given_as_text,
    is_copy,
)
from controller.git.single_commit import SingleCommit
from controller.machine.runs.attempt import Attempt

TIDIED = ("code", ".git", "scratch")
"""What of an attempt's folders is not needed after its end."""


class StepFiles(NamedTuple):
    """What a step finds in its attempt's folder, apart from its inputs."""

    attempt: Attempt
    own: Path
    """The attempt's folder."""
    checkout: Path
    commit: SingleCommit

    def write(self, left: Leftover | None = None) -> Collection[str]:
        """Write it, unless it is there; the names of what was moved from `left`, that of an ended
        attempt of the same user, commit and branch. Raises `OSError`."""
        moved: Collection[str] = ()
        if make_own_folder(f"{self.own}") and left is not None:
            moved = self._moved(left, f"{self.own}")
        make_folders(f"{self.own}", self.attempt)
        if GIVEN not in moved:
            (self.own / GIVEN).write_text(self._given)
        copy_files(self.checkout, self.attempt.folder, self.attempt.files, self.own / "code")
        self.commit.write(self.own)
        return moved

    def _moved(self, left: Leftover, own: str) -> Collection[str]:
        """Move what was not changed and is as it would be made. Of nothing of the ended attempt is
        a process left. It is looked at once it is here, where nobody else deletes or takes it."""
        mode = stat.S_IMODE(os.stat(own).st_mode)  # noqa: PTH116 - text, for speed: a step waits
        attempt, checkout = self.attempt, f"{self.checkout}"
        alike: dict[str, Callable[[], bool]] = {
            "code": lambda: is_copy(checkout, attempt.folder, attempt.files, f"{own}/code", mode),
            ".git": lambda: self.commit.is_at(own, mode),
            "scratch": lambda: is_empty(f"{own}/scratch", mode),
            GIVEN: lambda: _reads(f"{own}/{GIVEN}") == self._given,
        }
        moved = []
        for name, is_alike in alike.items():
            there, here = f"{left.folder}/{name}", f"{own}/{name}"
            with suppress(OSError):  # it is not there, or it cannot be read: it is made anew
                if name != GIVEN and mark_of(there) != left.marks.get(name):
                    continue
                os.rename(there, here)  # noqa: PTH104 - as above
                if _agrees(is_alike):
                    moved.append(name)
                else:
                    os.rename(here, there)  # noqa: PTH104 - as above
        return moved

    @property
    def _given(self) -> str:
        return given_as_text(self.checkout, self.attempt.folder, self.attempt.files)


def marks_of(own: str) -> Marks:
    """The marks of the folders that another attempt may take, before a step begins."""
    found = {}
    for name in TIDIED:
        with suppress(OSError):  # a gate has no code
            found[name] = mark_of(f"{own}/{name}")
    return found


def mark_of(folder: str) -> bytes:
    """A digest of when each file and folder in it, and itself, was last changed in any way.

    The change time of an inode is the kernel's: a step cannot set it. Files with several names are
    of a checkout, where each new name counts as a change. Raises `OSError`.
    """
    seen = [_seen("", os.lstat(folder))]
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                seen.append(_seen(entry.path[len(folder) :], entry.stat(follow_symlinks=False)))
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return hashlib.blake2b("\0".join(sorted(seen)).encode("utf-8", "surrogateescape")).digest()


def _seen(name: str, about: os.stat_result) -> str:
    is_shared = about.st_nlink > 1 and stat.S_ISREG(about.st_mode)
    return f"{name} {about.st_ino} {0 if is_shared else about.st_ctime_ns}"


def _agrees(is_alike: Callable[[], bool]) -> bool:
    try:
        return is_alike()
    except OSError:  # somebody deletes it
        return False


def make_own_folder(own: str) -> bool:
    """Make the folder of an attempt; whether it is new."""
    try:
        os.mkdir(own)  # noqa: PTH102 - text, for speed: every step waits for this
    except FileExistsError:
        return False
    except FileNotFoundError:
        os.makedirs(own)  # noqa: PTH103 - as above
    return True


def make_folders(own: str, attempt: Attempt) -> None:
    """Make the folders in it that are not there."""
    for name in ("inputs", "scratch", "outputs"):
        with suppress(FileExistsError):
            os.mkdir(f"{own}/{name}")  # noqa: PTH102 - as above
    for name, file in attempt.outputs.items():
        path = f"{own}/outputs/{file}"
        if name in attempt.folders or "/" in file:
            os.makedirs(  # noqa: PTH103 - as above
                path if name in attempt.folders else path.rpartition("/")[0], exist_ok=True
            )


def is_empty(folder: str, mode: int) -> bool:
    """Whether it is an empty folder with these permissions. Raises `OSError`."""
    about = os.lstat(folder)
    alike = stat.S_ISDIR(about.st_mode) and stat.S_IMODE(about.st_mode) == mode
    return alike and not os.listdir(folder)  # noqa: PTH208 - text, for speed


def tidy(own: str) -> None:
    """Delete what is not needed of an attempt that has ended, as far as possible."""
    for name in TIDIED:
        _delete(f"{own}/{name}")


def _reads(path: str) -> str:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - text, for speed
        return file.read()


def _delete(folder: str) -> None:
    folders = [folder]
    try:
        for each in folders:
            with os.scandir(each) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        os.unlink(entry.path)  # noqa: PTH108 - text, for speed
        for each in reversed(folders):
            os.rmdir(each)  # noqa: PTH106 - as above
    except FileNotFoundError:
        return
    except OSError:  # what it made read-only, or too deep a tree
        shutil.rmtree(folder, ignore_errors=True)
