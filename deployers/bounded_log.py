"""Keeps the output of a supervised command in a folder, limited in size.

Used by supervisors: standard library only, and as little of it as possible.
"""

# ruff: noqa: PTH105, PTH108, PTH123 - pathlib would cost a third of the zygote's start

import contextlib
import os

_SEGMENT = 262144


class BoundedLog:
    """Keeps the head and the tail of the output, half of `bound` bytes each.

    While it grows, the tail is the end of two files that are written alternately.
    A full disk costs output but never the command; `problem` then says what was lost.
    """

    def __init__(self, bound: int, folder: str = ".", *, resume: bool = False) -> None:
        """With `resume`, an existing head is kept, and the caller writes the rest again."""
        self._folder = folder
        self._half = max(bound // 2, 1)
        self._room = self._half
        self._turns = 0
        self.seen = 0
        """Bytes written so far, including those that were not kept."""
        self._fd = self._open("log")
        self.problem = ""
        if resume:
            self.seen = min(os.fstat(self._fd).st_size, self._half)
            self._room -= self.seen
            os.ftruncate(self._fd, self.seen)
            self._drop_tail()

    def write(self, data: bytes) -> None:
        self.seen += len(data)
        rest = memoryview(data)
        try:
            while rest:
                if not self._room:
                    self._turn()
                written = os.write(self._fd, rest[: self._room])
                self._room -= written
                rest = rest[written:]
        except OSError as error:
            self.problem = f"output was lost: {error.strerror}"

    def close(self) -> None:
        """Join head, a line about what was cut, and tail in `log`."""
        os.close(self._fd)
        if not self._turns:
            return
        tail = b"".join(self._read(name) for name in ("log.old", "log.tail"))[-self._half :]
        cut = self.seen - self._half - len(tail)
        notice = b"\n[headgate: %d bytes of output cut here]\n" % cut if cut > 0 else b""
        try:
            self._fd = self._open("log")
            os.write(self._fd, notice + tail)
            os.close(self._fd)
        except OSError as error:
            self.problem = f"output was lost: {error.strerror}"
            return
        self._drop_tail()

    def _drop_tail(self) -> None:
        for name in ("log.old", "log.tail"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._folder}/{name}")

    def _turn(self) -> None:
        if self._turns:
            os.replace(f"{self._folder}/log.tail", f"{self._folder}/log.old")
        fd = self._open("log.tail")
        os.close(self._fd)
        self._fd, self._room = fd, max(self._half, _SEGMENT)
        self._turns += 1

    def _open(self, name: str) -> int:
        return os.open(f"{self._folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _read(self, name: str) -> bytes:
        try:
            with open(f"{self._folder}/{name}", "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""
