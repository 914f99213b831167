"""Reads objects of a mirror through one `git cat-file` that stays, instead of a process for each.

It sees objects that are fetched later: git looks for new packs before it calls an object missing.
"""

import asyncio
import os
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

from controller.git.command import (
    NO_GIT,
    OPTIONS,
    TIMEOUT,
    Corrupt,
    Remote,
    environment,
    failure,
    is_damage,
)
from specs.failures import NeedsHuman, TryAgain
from specs.figures import duration

_COMMAND: Final = ("cat-file", "--batch-command", "--buffer", "--follow-symlinks")
_NOTHING: Final = frozenset({b"missing", b"ambiguous", b"submodule"})
"""How an answer ends that no object belongs to."""
_NOWHERE: Final = frozenset({b"dangling", b"loop", b"notdir", b"symlink"})
"""How an answer begins if a symbolic link leads to no object; its text follows."""


class GitObject(NamedTuple):
    """An object of a repository."""

    sha: str
    kind: str
    """blob, tree, commit or tag."""
    size: int
    content: bytes | None
    """None for an object that is larger than was asked for."""


class _DiedError(Exception):
    """The process ended in the middle of an answer; with what it wrote to standard error."""


class ObjectReader:
    """Answers questions about the objects of the bare repository in `folder`.

    Its process starts with the first question and again after it has died. An exchange runs in a
    thread to its end, even if whoever asked is cancelled, so that no answer is left half read.
    """

    def __init__(self, remote: Remote, folder: Path) -> None:
        self._remote = remote
        self._folder = folder
        self._child: _Child | None = None
        self._turn = asyncio.Lock()
        self._exchange = threading.Lock()  # held beyond the turn of a reader that is cancelled

    async def ask(self, names: Sequence[str], most: int = -1) -> list[GitObject | None]:
        """The objects of these names (`ID`, `ID:PATH`, `ID^{tree}`), None for those that are not
        there, with the contents of those of at most `most` bytes; symbolic links are followed.

        Raises `Corrupt` for a damaged repository, `TryAgain` and `NeedsHuman`.
        """
        if not names:
            return []
        try:
            async with asyncio.timeout(TIMEOUT), self._turn:
                return await asyncio.to_thread(self._answers, tuple(names), most)
        except TimeoutError:
            self._kill()
            raise TryAgain(
                f"git cat-file on {self._remote.shown} did not finish within {duration(TIMEOUT)}"
            ) from None

    async def close(self) -> None:
        """End the process; the next question starts another."""
        self._kill()
        await self.replacing(lambda: None)

    async def replacing(self, replace: Callable[[], None]) -> None:
        """End the process, and let nothing start another while `replace`, which may block, runs."""

        def run() -> None:
            with self._exchange:
                self._end()
                replace()

        await asyncio.to_thread(run)

    def _answers(self, names: Sequence[str], most: int) -> list[GitObject | None]:
        with self._exchange:
            if (child := self._child) is not None:
                try:
                    return self._from(child, names, most)
                except _DiedError as died:  # by a signal, or as its files were replaced
                    if child.is_killed:
                        raise self._explained(str(died)) from None
            try:
                return self._from(self._started(), names, most)
            except _DiedError as died:
                raise self._explained(str(died)) from None

    def _from(self, child: "_Child", names: Sequence[str], most: int) -> list[GitObject | None]:
        try:
            found = child.answers("info", names)
            small = [one is not None and one.size <= most for one in found]
            wanted = [
                one.sha for one, is_small in zip(found, small, strict=True) if one and is_small
            ]
            contents = iter(child.answers("contents", wanted) if wanted else ())
            whole = [
                next(contents) if is_small else one
                for one, is_small in zip(found, small, strict=True)
            ]
        except BaseException:
            self._end()
            raise
        said = child.said()
        if None in whole and is_damage(said):
            self._end()
            raise Corrupt(said[:300])
        return whole

    def _started(self) -> "_Child":
        try:
            child = _Child(self._remote, self._folder)
        except FileNotFoundError:
            raise NeedsHuman(NO_GIT) from None
        self._child = child
        child.orphaned = weakref.finalize(self, child.end)
        return child

    def _explained(self, said: str) -> Exception:
        if said:
            return failure(self._remote, said)
        return TryAgain(f"git cat-file on {self._remote.shown} was killed")

    def _kill(self) -> None:
        """Kill the process, so that a thread that waits for its answer goes on."""
        child = self._child
        if child is not None:
            child.is_killed = True
            child.kill()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Child:
    """The process. Its methods may block."""

    orphaned: "weakref.finalize[[], ObjectReader]"
    """Ends it with its reader, if nobody closes that."""
    is_killed = False
    """Whether it was killed by its reader."""

    def __init__(self, remote: Remote, folder: Path) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed by `end`
        try:
            self._process = subprocess.Popen(
                ("git", *OPTIONS, "--git-dir", str(folder), *_COMMAND),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment(remote, {}),
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            self._errors.close()
            raise

    def answers(self, command: str, names: Sequence[str]) -> list[GitObject | None]:
        """What `info` or `contents` says of each. git reads all questions before it answers, so
        neither of the two pipes can get stuck."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.writelines(f"{command} {name}\n".encode() for name in names)
            stdin.write(b"flush\n")
            stdin.flush()
        except OSError:
            raise _DiedError(self.said()) from None
        return [self._answer(command == "contents") for _ in names]

    def _answer(self, has_content: bool) -> GitObject | None:
        about = self._line()
        words = about.split(b" ")
        if words[-1] in _NOTHING:
            return None
        if len(words) == 2 and words[0] in _NOWHERE:
            self._read(int(words[1]))
            return None
        size = int(words[2])
        content = self._read(size) if has_content else None
        return GitObject(words[0].decode(), words[1].decode(), size, content)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            self._process.wait()
            raise _DiedError(self.said())
        return line[:-1]

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        found = self._process.stdout.read(size + 1)
        if len(found) <= size:
            self._process.wait()
            raise _DiedError(self.said())
        return found[:-1]

    def said(self) -> str:
        """What it wrote to standard error since this was last asked."""
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace")
        if said:
            self._errors.truncate(0)
        return said

    def kill(self) -> None:
        """Kill it."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill and reap it."""
        self.orphaned.detach()
        self.kill()
        self._process.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # questions that it did not read
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()
