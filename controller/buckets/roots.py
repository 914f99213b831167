"""Which files of this machine datasets may read: specs name paths, and a pull request's spec is
untrusted. All paths are resolved before they are compared."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Self

from specs.failures import NeedsHuman

KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))
"""Folders of the kernel, whose files are not data."""


class OutsideRoots(NeedsHuman):
    """A file or folder that datasets may not read."""


@dataclass(frozen=True)
class Roots:
    """What datasets may read: the folders `allowed`, or everything for None.

    Paths in the repository are always allowed. Never allowed are files below `sealed`, and files in
    the same folder as one of `beside`, which are settings and secrets.
    """

    allowed: tuple[Path, ...] | None = None
    sealed: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    _sealed: tuple[str, ...] = field(init=False, repr=False)
    _beside: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sealed = tuple(str(path.resolve()) for path in (*self.sealed, *KERNEL))
        # The folder of the path and that of its target: either may hold more private files.
        folders = {str(path.parent.resolve()) for path in self.beside}
        folders |= {str(path.resolve().parent) for path in self.beside}
        object.__setattr__(self, "_sealed", sealed)
        object.__setattr__(self, "_beside", frozenset(folders))

    @classmethod
    def of(cls, allowed: Iterable[Path], home: Path, private: Iterable[Path]) -> Self:
        """The roots of a controller; `private` are its settings, secrets and keys."""
        return cls(tuple(allowed), (home,), tuple(private))

    def check(self, uri: str, folder: Path) -> None:
        """Raises `OutsideRoots` if the address `uri`, in `folder`, may not be read."""
        real = os.path.realpath(folder)
        if self.allowed is not None and not any(
            is_within(real, os.path.realpath(root)) for root in self.allowed
        ):
            raise OutsideRoots(
                f"{uri} may not be read: to allow it, add `data_roots: [{folder}]` to "
                "headgate.yaml; or commit the data, or put it into an object store"
            )
        if any(is_within(real, each) for each in self._sealed):
            raise OutsideRoots(
                f"{uri} may not be read: it is below one of the controller's own folders; put the "
                "data elsewhere"
            )

    def may_contain_private(self, folder: Path) -> bool:
        """Whether a resolved folder may contain files that `check_file` refuses."""
        own = (*self._sealed, *self._beside)
        return any(is_within(each, str(folder)) or each == str(folder) for each in own)

    def check_file(self, path: str, real: str) -> None:
        """Raises `OutsideRoots` for a file of the controller, or one beside such a file."""
        if os.path.dirname(real) in self._beside or any(  # noqa: PTH120 - called for each object
            is_within(real, each) for each in self._sealed
        ):
            raise OutsideRoots(
                f"{path} may not be read: it is beside the controller's settings or secrets, or in "
                "its home folder; put the data into a folder of its own"
            )

    def open(self, path: Path, below: Path, *, checked: bool) -> FileIO:
        """Open a regular file below a folder for reading. With `checked`, the controller's own
        files are refused.

        The checks use the path of the open file, so it cannot be swapped between check and use.
        Raises `OutsideRoots`, `FileNotFoundError`, and `OSError` as the operating system does.
        """
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        file = os.fdopen(handle, "rb", buffering=0)
        try:
            real = os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115 - it need not be a path
            regular = stat.S_ISREG(os.fstat(handle).st_mode)
            if checked and regular:
                self.check_file(str(path), real)
        except BaseException:
            file.close()
            raise
        if not regular or not is_within(real, str(below)):
            file.close()
            raise FileNotFoundError(path)
        return file


def is_within(path: str, folder: str) -> bool:
    """Whether a resolved path is a folder or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
