"""The files that a step finds: written before it starts, deleted after its end.

To make files and folders is what costs most of a small step, whatever is in them. So what an ended
attempt of the same commit left is moved to the next one, where it is just as it would be made.
"""

import os
import shutil
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

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

    def write(self, left: Path | None = None) -> Collection[str]:
        """Write it, unless it is there; the names of what was moved from `left`, the folder of an
        ended attempt of the same user, commit and branch, which nobody else uses. Raises
        `OSError`."""
        moved: Collection[str] = ()
        if make_own_folder(f"{self.own}") and left is not None:
            moved = self._moved(f"{left}", f"{self.own}")
        make_folders(f"{self.own}", self.attempt)
        if GIVEN not in moved:
            (self.own / GIVEN).write_text(self._given)
        copy_files(self.checkout, self.attempt.folder, self.attempt.files, self.own / "code")
        self.commit.write(self.own)
        return moved

    def _moved(self, left: str, own: str) -> Collection[str]:
        """Move what is as it would be made. Of nothing of the ended attempt is a process left."""
        mode = stat.S_IMODE(os.stat(own).st_mode)  # noqa: PTH116 - text, for speed: a step waits
        attempt, checkout = self.attempt, f"{self.checkout}"
        alike: dict[str, Callable[[], bool]] = {
            "code": lambda: is_copy(checkout, attempt.folder, attempt.files, f"{left}/code", mode),
            ".git": lambda: self.commit.is_at(left, mode),
            "scratch": lambda: is_empty(f"{left}/scratch", mode),
            GIVEN: lambda: _reads(f"{left}/{GIVEN}") == self._given,
        }
        moved = []
        for name, is_alike in alike.items():
            with suppress(OSError):  # it is not there, or it cannot be read: it is made anew
                if is_alike():
                    os.rename(f"{left}/{name}", f"{own}/{name}")  # noqa: PTH104 - as above
                    moved.append(name)
        return moved

    @property
    def _given(self) -> str:
        return given_as_text(self.checkout, self.attempt.folder, self.attempt.files)


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
