"""Which files of this machine datasets may be made of: specs name addresses, and a pull request's
spec is nobody's word. All paths are compared as they resolve, whatever they are written as."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Self

from specs.failures import NeedsHuman

KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))
"""Folders whose files are no data but what processes and devices say."""


class OutsideRoots(NeedsHuman):
    """A file or folder that no dataset may be read from."""


@dataclass(frozen=True)
class Roots:
    """Folders that absolute addresses may lead to; None: whatever whoever runs this may read.

    A path in the repository is always allowed, and never one of these: files below `sealed`, and
    files beside one of `beside`, which are settings and secrets.
    """

    allowed: tuple[Path, ...] | None = None
    sealed: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    _sealed: tuple[str, ...] = field(init=False, repr=False)
    _beside: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sealed = tuple(str(path.resolve()) for path in (*self.sealed, *KERNEL))
        # Once for the file's name and once for what it leads to: either folder may hold more.
        folders = {str(path.parent.resolve()) for path in self.beside}
        folders |= {str(path.resolve().parent) for path in self.beside}
        object.__setattr__(self, "_sealed", sealed)
        object.__setattr__(self, "_beside", frozenset(folders))

    @classmethod
    def of(cls, allowed: Iterable[Path], home: Path, private: Iterable[Path]) -> Self:
        """Those of a controller: `private` are its settings, secrets and keys."""
        return cls(tuple(allowed), (home,), tuple(private))

    def check(self, uri: str, folder: Path) -> None:
        """Raises `OutsideRoots` for an absolute address, whose `folder` is, that is not allowed."""
        real = folder.resolve()
        if self.allowed is not None and not any(
            real.is_relative_to(root.resolve()) for root in self.allowed
        ):
            raise OutsideRoots(
                f"{uri} may not be read: if it is meant, add `data_roots: [{folder}]` to "
                "headgate.yaml; else commit the data, or name an object store"
            )
        if any(_is_within(str(real), each) for each in self._sealed):
            raise OutsideRoots(
                f"{uri} may not be read: it is below a folder of the controller's own"
            )

    def may_contain_private(self, folder: Path) -> bool:
        """Whether a folder, resolved, may hold files that `check_file` refuses."""
        own = (*self._sealed, *self._beside)
        return any(_is_within(each, str(folder)) or each == str(folder) for each in own)

    def check_file(self, path: str, real: str) -> None:
        """Raises `OutsideRoots` for a file that holds, or is beside, what is the controller's own."""
        if os.path.dirname(real) in self._beside or any(  # noqa: PTH120 - one for each object
            _is_within(real, each) for each in self._sealed
        ):
            raise OutsideRoots(
                f"{path} may not be read: it is beside the controller's settings or secrets, or in "
                "its home; put the data into a folder of its own"
            )

    def open(self, path: Path, below: Path, *, checked: bool) -> FileIO:
        """A regular file, for reading, that is below a folder as both resolve once it is open, so
        that nobody can exchange it in between; with `checked`, none of the controller's own.

        Raises `OutsideRoots`, FileNotFoundError, and OSError as the operating system does.
        """
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        file = os.fdopen(handle, "rb", buffering=0)
        try:
            real = os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115 - it may be no path
            regular = stat.S_ISREG(os.fstat(handle).st_mode)
            if checked and regular:
                self.check_file(str(path), real)
        except BaseException:
            file.close()
            raise
        if not regular or not _is_within(real, str(below)):
            file.close()
            raise FileNotFoundError(path)
        return file


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
