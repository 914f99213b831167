"""Hashes files that were scanned, and notices if they were changed since."""

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from controller.buckets.folder_scan import FileRow, identity_of, opened

_CHUNK = 2**18
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW

CarefulOpen = Callable[[str], int]
"""Opens an object by its key, after checks, and returns its handle. Raises `FileNotFoundError`."""


class FolderHasher:
    """Hashes files directly in one folder below `root`, which is opened for the first of them.

    A symbolic link is opened by `careful`; with `always_careful` every file is. Blocking.
    """

    def __init__(
        self, root: str, below: str, careful: CarefulOpen, *, always_careful: bool
    ) -> None:
        self._root = root
        self._below = below
        self._careful = careful
        self._always_careful = always_careful
        self._handle: int | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def digest(self, row: FileRow) -> bytes | None:
        """The SHA-256 of a file; None if it was changed or deleted since it was scanned."""
        try:
            handle = self._open(row)
        except FileNotFoundError:
            return None
        try:
            return _digest(handle, row)
        finally:
            os.close(handle)

    def _open(self, row: FileRow) -> int:
        if self._always_careful:
            return self._careful(self._below + row[0])
        try:
            if self._handle is None:
                self._handle = self._stack.enter_context(opened(self._root, self._below))
            return os.open(row[0], _FLAGS, dir_fd=self._handle)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return self._careful(self._below + row[0])
            error.filename = f"{self._root}/{self._below}{row[0]}"
            raise


def _digest(handle: int, row: FileRow) -> bytes | None:
    """The SHA-256 of an open file; None if it is not as it was scanned."""
    left = row[3]
    content = os.read(handle, min(left, _CHUNK))
    whole = hashlib.sha256(content)
    left -= len(content)
    while left and (content := os.read(handle, min(left, _CHUNK))):
        whole.update(content)
        left -= len(content)
    return whole.digest() if identity_of(os.fstat(handle)) == row[1:] else None
